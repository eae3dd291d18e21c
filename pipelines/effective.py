"""The delta of any adapter that changes weights, against a base: each layer is asked what it does to unit inputs.

A linear layer is known by f(0) = b' and f(eₖ) − f(0), the k-th column of W'; a convolution by its answer to one impulse
per channel and place of its kernel. So ΔW = W' − W and Δb = b' − b hold for every method that is linear in its input,
whatever its formula, and no second copy of the formulas can disagree with the first. In float64.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.deltas import BIAS, Delta, DenseDelta, needs_base, read_deltas
from trainers.adapter import AdapterPart
from trainers.errors import UserError

_SLOT = "effective"
_CHUNK = 1024
_NEGLIGIBLE = 1e-12


def part_deltas(part: AdapterPart, module: nn.Module | None, *, what: str) -> dict[str, Delta]:
    """Return the deltas of one part of an adapter of any method.

    Args:
        module: the base's part, bare; only what has no delta of its own needs it.

    Raises:
        UserError: the part is no change of weights, needs a base that is not given, or does not fit it.
    """
    if module is None or not needs_base(part):
        return read_deltas(part, what=what)
    return effective_deltas(module, part, what=what)


@torch.no_grad()
def effective_deltas(module: nn.Module, part: AdapterPart, *, what: str) -> dict[str, Delta]:
    """Return W' − W and b' − b of every layer that a part of an adapter changes; the module is left as it was.

    Args:
        module: the base's part, without any adapter.

    Raises:
        UserError: the adapter does not fit the module, or a layer is neither linear nor a convolution.
    """
    from trainers.tuners import peft_bridge as bridge  # PEFT: seconds to import, and a LoRA needs none of it

    assert not getattr(module, "peft_config", {}), "the base carries an adapter already"
    deltas: dict[str, Delta] = {}
    try:
        bridge.attach(module, bridge.config_from_json(part.config, what=what), _SLOT, what=what)
        bridge.load_state(module, _SLOT, part.tensors, what=what)
        bridge.set_weights(module, {_SLOT: 1.0})
        for path, layer in bridge.tuner_layers(module):
            for name, change in _probe(layer, f"{what}, layer {path}").items():
                deltas[path + name] = DenseDelta(change)
    finally:
        bridge.detach(module, _SLOT)
        module.requires_grad_(False)
    return deltas


def _probe(layer: Any, what: str) -> dict[str, Tensor]:
    """Return ΔW under "" and, where it is not 0, Δb under ".bias"."""
    adapted = copy.deepcopy(layer).double().eval()
    base = adapted.get_base_layer()
    if isinstance(base, nn.Linear):
        change, shift = _answer(adapted, base, torch.eye(base.in_features, dtype=torch.float64), (base.in_features,))
    elif isinstance(base, nn.Conv2d) and base.groups == 1:
        change, shift = _answer_of_kernel(adapted, base)
    elif isinstance(base, nn.Embedding):
        return {"": _answer_of_words(adapted, base)}
    else:
        raise UserError(f"{what} is a {type(base).__name__}, whose delta cannot be read; attach the adapter live.")
    found = {"": change}
    if float(shift.abs().max()) > _NEGLIGIBLE:
        found[BIAS] = shift
    return found


def _answer_of_words(adapted: Any, base: nn.Embedding) -> Tensor:
    """Return what the adapted table adds to every word's row."""
    rows = [adapted(chunk) - base(chunk) for chunk in torch.arange(base.num_embeddings).split(_CHUNK)]
    return torch.cat(rows)


def _answer_of_kernel(adapted: Any, base: nn.Conv2d) -> tuple[Tensor, Tensor]:
    (kh, kw), (dh, dw) = base.kernel_size, base.dilation
    for child in adapted.modules():  # without padding the kernel meets the impulse in one place alone
        if isinstance(child, nn.Conv2d):
            child.padding = (0, 0)
    places = base.in_channels * kh * kw
    impulses = torch.zeros(places, base.in_channels, (kh - 1) * dh + 1, (kw - 1) * dw + 1, dtype=torch.float64)
    impulses[:, :, ::dh, ::dw] = torch.eye(places, dtype=torch.float64).reshape(places, base.in_channels, kh, kw)
    return _answer(adapted, base, impulses, (base.in_channels, kh, kw))


def _answer(adapted: Any, base: nn.Module, units: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return what the adapted layer adds to the base's weight [o, *shape] and bias [o]."""
    shift = (adapted(torch.zeros_like(units[:1])) - base(torch.zeros_like(units[:1]))).flatten()
    rows = [(adapted(chunk) - base(chunk)).flatten(1) - shift for chunk in units.split(_CHUNK)]
    return torch.cat(rows).T.reshape(-1, *shape).contiguous(), shift
