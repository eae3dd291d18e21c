"""The tuner layer of the MAM adapter: a prefix on attention, a scaled bottleneck beside feed-forward modules."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from trainers.tuners.hosts import first, hidden_input, is_attention, width, with_first
from trainers.tuners.kinds.bottleneck import branch, fresh_branch
from trainers.tuners.kinds.prefix import fresh_prefix, install_prefix
from trainers.tuners.sidecar import Sidecar, SidecarKind, Uninstall


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> Mapping[str, Tensor]:
    return fresh_prefix(host, settings) if is_attention(host) else fresh_branch(width(host), settings)


def _install(host: nn.Module, sidecar: Sidecar) -> Uninstall:
    if is_attention(host):
        return install_prefix(host, sidecar)
    handle = host.register_forward_hook(_beside(sidecar), with_kwargs=True)
    return handle.remove


def _beside(sidecar: Sidecar) -> Callable[..., Any]:
    def after(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        total, x = first(output), hidden_input(args, kwargs)
        for live in sidecar.live():
            total = total + live.weight * branch(live.parameters, x, live.settings).to(total.dtype)
        return with_first(output, total)

    return after


KIND = SidecarKind("mam", _fresh, install=_install)
