"""Add adapters into the weights of the base, and take them out again bit for bit.

For adapters i at weights wᵢ every changed weight becomes W + Σ wᵢ·ΔWᵢ, with ΔWᵢ what adapter i alone at weight 1 makes
of W, minus W. That equals what the attached adapters do at these weights, because all methods that merge are weighed by
their delta or between outputs (see `live_weights`), and both are linear in w. While merged, a layer holds a parameter
of its own in place of the base's; the base's is kept untouched and put back.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainers.errors import UserError
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.live_weights import at_weight_1
from trainers.tuners.sidecar import Sidecar

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
        if own is None:  # a bias where the base has none
            own = torch.zeros_like(total, dtype=next(iter(host.parameters(recurse=False))).dtype)
        # A parameter of its own: the base's may be tied to another layer's, which does not carry the adapter.
        host._parameters[name] = nn.Parameter((own.detach().double() + total).to(own.dtype), requires_grad=False)
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
                raise _no_change(what, layer.kind.name)
            host = module.get_submodule(path.rpartition(".")[0])
            own = {name: value.detach() for name, value in layer.beside[adapter].items()}
            yield host, layer.kind.change(host, own)
        else:
            yield layer.get_base_layer(), _change_by_peft(layer, adapter, what)


@torch.no_grad()
def _change_by_peft(layer: Any, adapter: str, what: str) -> dict[str, Tensor]:
    """Let PEFT merge one adapter at weight 1 into copies in float32, and return what it changed."""
    base = layer.get_base_layer()
    before = dict(base._parameters)
    plain = {name: value.detach() for name, value in before.items() if value is not None}
    if not all(value.is_floating_point() for value in plain.values()):
        raise UserError(
            f"The adapter cannot be merged into the {what}: its weights are quantised, and merging would round the "
            "delta away. Merge into the base in full precision."
        )
    try:
        with at_weight_1(layer, adapter):
            try:
                merged = _merged_by_peft(layer, adapter, plain)
            except ValueError:  # BEFT gives a bias to layers that have none, and merges only into one that is there
                weight = plain["weight"]
                plain["bias"] = weight.new_zeros(weight.shape[0])
                merged = _merged_by_peft(layer, adapter, plain)
    except NotImplementedError as error:
        raise _no_change(what, type(layer).__name__) from error
    finally:
        layer.merged_adapters.clear()
        base._parameters.update(before)
    changes = {name: merged[name].double() - value.double() for name, value in plain.items()}
    return {name: change for name, change in changes.items() if change.any()}


def _merged_by_peft(layer: Any, adapter: str, plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    base = layer.get_base_layer()
    for name, value in plain.items():
        base._parameters[name] = nn.Parameter(value.float().clone(), requires_grad=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer.merge(adapter_names=[adapter])
    merged = {name: base._parameters[name].detach().clone() for name in plain}
    layer.unmerge()  # the copies are thrown away, but some tuners remember a merge by more than a name
    return merged


def _no_change(what: str, kind: str) -> UserError:
    return UserError(
        f"The adapter cannot be merged into the {what}: what it does there ({kind}) is no change of the weights. Leave "
        "it attached."
    )
