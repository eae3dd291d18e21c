"""Add adapters into the weights of the base, and take them out again bit for bit.

For adapters i at weights wᵢ every changed weight becomes W + Σ wᵢ·ΔWᵢ, with ΔWᵢ what adapter i alone at weight 1 makes
of W, minus W. That equals what the attached adapters do at these weights, because all methods that merge are weighed by
their delta or between outputs (see `_weighing`), and both are linear in w. While merged, a layer holds a parameter of
its own in place of the base's; the base's is kept untouched and put back.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainers.errors import UserError
from trainers.methods import _peft_bridge as bridge
from trainers.methods._sidecar import Sidecar
from trainers.methods._weighing import is_additive

Unmerge = Callable[[], None]


def merge(module: nn.Module, weights: Mapping[str, float], *, what: str) -> Unmerge:
    """Add attached adapters into a module's weights and switch all adapters off; return what undoes it.

    Args:
        weights: adapter -> weight; 0 leaves it out.
        what: how a user calls the module, for messages.

    Raises:
        UserError: an adapter acts by other means than weights, or the weights are quantised. Nothing is changed then.
    """
    sums: dict[tuple[nn.Module, str], Tensor] = {}
    for adapter, weight in weights.items():
        for host, changes in _changes(module, adapter, what) if weight else ():
            for name, change in changes.items():
                total = weight * change.double()
                sums[host, name] = sums[host, name] + total if (host, name) in sums else total
    kept = {(host, name): host._parameters[name] for host, name in sums}
    for (host, name), total in sums.items():
        own: Any = kept[host, name]
        like: Any = host._parameters["weight"] if own is None else own  # some adapters bring a bias to a layer without
        whole = total if own is None else own.detach().double() + total
        # A parameter of its own: the base's may be tied to another layer's, which does not carry the adapter.
        host._parameters[name] = nn.Parameter(whole.to(like.dtype), requires_grad=False)
    bridge.set_weights(module, {})

    def unmerge() -> None:
        for (host, name), own in kept.items():
            host._parameters[name] = own

    return unmerge


def _changes(module: nn.Module, adapter: str, what: str) -> Iterator[tuple[nn.Module, Mapping[str, Tensor]]]:
    """Yield every layer of the base that an adapter changes, and ΔW of its parameters by name."""
    for path, layer in bridge.tuner_layers(module):
        if adapter not in bridge.adapters_of(layer):
            continue
        if isinstance(layer, Sidecar):
            if layer.kind.change is None:
                raise UserError(
                    f"The adapter cannot be merged into the {what}: what it does there ({layer.kind.name}) is no "
                    "change of the weights. Leave it attached."
                )
            host = module.get_submodule(path.rpartition(".")[0])
            own = {name: value.detach() for name, value in layer.beside[adapter].items()}
            yield host, layer.kind.change(host, own)
        else:
            yield layer.get_base_layer(), _change_by_peft(layer, adapter, what)


def _copy(layer: Any, parameter: Tensor | None) -> Tensor:
    """Return a parameter in float32; a bias that the layer does not have is 0."""
    if parameter is not None:
        return parameter.detach().float()
    transposed = hasattr(layer, "nf")
    return layer.weight.new_zeros(layer.weight.shape[1 if transposed else 0]).float()


@torch.no_grad()
def _change_by_peft(layer: Any, adapter: str, what: str) -> dict[str, Tensor]:
    """Let PEFT merge one adapter at weight 1 into copies in float32, and return what it changed."""
    base = layer.get_base_layer()
    before = {name: value for name, value in base._parameters.items() if value is not None or name == "bias"}
    if not all(value.is_floating_point() for value in before.values() if value is not None):
        raise UserError(
            f"The adapter cannot be merged into the {what}: its weights are quantised, and merging would round the "
            "delta away. Merge into the base in full precision."
        )
    try:
        start = {name: _copy(base, value) for name, value in before.items()}
        for name, value in start.items():
            base._parameters[name] = nn.Parameter(value.clone(), requires_grad=False)
        if is_additive(layer, adapter):
            layer.set_scale(adapter, 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer.merge(adapter_names=[adapter])
        merged = {name: base._parameters[name].detach().clone() for name in before}
        layer.unmerge()  # the copies are thrown away, but some tuners remember a merge by more than a name
    finally:
        layer.merged_adapters.clear()
        base._parameters.update(before)
    changes = {name: merged[name].double() - value.double() for name, value in start.items()}
    return {name: change for name, change in changes.items() if change.any()}
