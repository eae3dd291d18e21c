"""MAM adapter: a prefix on the attention and a scaled parallel bottleneck beside the feed-forward modules.

Attention: K ← [P_k; K], V ← [P_v; V], the prefix made by a network that is folded away when saved. Feed-forward:
y = FF(x) + s · Up(relu(Down(x))). Source: He et al. 2021, arXiv 2110.04366, section 4.6: prefix length 30, s = 4.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from trainers.methods._bottleneck import branch, fresh_branch
from trainers.methods._hosts import first, hidden_input, is_attention, width, with_first
from trainers.methods._method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._prefix import STARTS_CHANGED, fold_prefix, fresh_prefix, install_prefix
from trainers.methods._sidecar import Sidecar, SidecarKind, Uninstall, register


class MamSettings(MethodSettings):
    """Settings of the MAM adapter."""

    length: int = Field(16, ge=1, le=512, description="Number of learned keys and values in each attention module.")
    hidden: int = Field(64, ge=1, le=4096, description="Width of the network that makes them in training.")
    size: int = Field(32, ge=1, le=4096, description="Width of the bottleneck beside each feed-forward module.")
    scale: float = Field(4.0, gt=0, le=100, description="Factor on what the bottleneck adds.")


def _config(settings: MamSettings, resolve: ResolveTargets) -> Any:
    targets = resolve(("attention_block", "feed_forward_block"))
    return register(KIND)(
        target_modules=list(targets), settings={**settings.model_dump(mode="json"), "activation": "relu"}
    )


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
register(KIND)

METHOD = Method(
    name="mam",
    title="MAM adapter",
    source="He et al. 2021, arXiv 2110.04366, section 4.6",
    settings=MamSettings,
    recommended={
        "unet": Recommendation(3e-3),
        "text_encoder": Recommendation(3e-5),
        "language_model": Recommendation(5e-4, pocket_rate=0.003),
    },
    peft_config=_config,
    mergeable=False,
    live_weight="the prefix counts w times in the attention, and w times the bottleneck is added",
    needs_studio=True,
    starts_changed=STARTS_CHANGED,
    fold=fold_prefix,
)
