"""Deltas of whole weights: what full fine-tuning, training of some layers, of biases or of norms have in common.

The base's tensor W is never changed. While its layer runs it stands for W + Σ wᵢ·Δᵢ, so every adapter keeps its own
Δ in float32, weights are exact, and taking an adapter off needs no copy of the base.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from trainers.tuners.sidecar import Live, Sidecar, SidecarKind, Uninstall


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    own = {name: host._parameters.get(name) for name in settings["tensors"]}
    return {name: value.detach().new_zeros(value.shape) for name, value in own.items() if value is not None}


def _install(host: nn.Module, sidecar: Sidecar) -> Uninstall:
    """Shadow the host's parameters for the length of its forward; an instance attribute is found before a parameter."""

    shadowed: list[str] = []  # of those alone: some norms have a plain attribute of that name, which must stay

    def before(_: nn.Module, inputs: tuple[Any, ...]) -> Any:
        sums = _sums(host, sidecar.live())
        shadowed[:] = sums
        host.__dict__.update(sums)
        return _safe(inputs) if sums and isinstance(host, nn.GroupNorm) else None

    def after(_: nn.Module, __: Any, ___: Any) -> None:
        for name in shadowed:
            host.__dict__.pop(name, None)
        shadowed.clear()

    handles = [host.register_forward_pre_hook(before), host.register_forward_hook(after, always_call=True)]
    return lambda: [handle.remove() for handle in handles].clear()


def _safe(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Keep torch 2.13 on the CPU from crashing: its group norm for channels-last inputs writes the gradient of an input
    that asks for none through a null pointer, as soon as the norm's own weight or bias asks for one."""
    return tuple(
        value.contiguous() if isinstance(value, Tensor) and not value.requires_grad else value for value in inputs
    )


def _sums(host: nn.Module, live: Sequence[Live]) -> dict[str, Tensor]:
    sums: dict[str, Tensor] = {}
    for adapter in live:
        for name, delta in adapter.parameters.items():
            sums[name] = sums.get(name, 0) + adapter.weight * delta
    own = {name: host._parameters[name] for name in sums}
    return {name: (own[name].float() + total).to(own[name].dtype) for name, total in sums.items()}


KIND = SidecarKind("delta", _fresh, install=_install, change=lambda host, parameters: parameters)
