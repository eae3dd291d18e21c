"""What tensors of each kind add to a weight, as the programs that read them compute it; strength 1, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipelines.readers._reader import Leaves, Taken

if TYPE_CHECKING:
    from torch import Tensor

LORA = ("lora_up.weight", "lora_down.weight")
LORA_ENDS = frozenset({*LORA, "lora_mid.weight", "alpha"})
LOHA_ENDS = frozenset(f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2"))
LOKR_ENDS = frozenset(f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2"))
FULL_ENDS = frozenset({"diff", "diff_b", "w_norm", "b_norm"})
FLOAT32_STEP = 2.0**-23
"""The step of float32 at 1: what ComfyUI and Forge add to a norm before they divide by it, in float32."""


def product(leaves: Leaves, weight: Tensor) -> Tensor | None:
    """Return the change of a LoRA, LoHa or LoKr [as the weight], None where the tensors are of none of these kinds."""
    wide = {end: tensor.double() for end, tensor in leaves.items()}
    if all(end in wide for end in LORA):
        return _scale(wide, wide["lora_down.weight"].shape[0]) * _lora(wide).reshape(weight.shape)
    if "hada_w1_a" in wide:
        first, second = _half(wide, "1"), _half(wide, "2")
        return _scale(wide, wide["hada_w1_b"].shape[0]) * (first * second).reshape(weight.shape)
    if any(end.startswith("lokr_") for end in wide):
        return _lokr(wide).reshape(weight.shape)
    return None


def taken_product(leaves: Leaves, weight: Tensor, bias: Tensor | None = None) -> Taken | None:
    """Return what a LoRA, LoHa or LoKr without a magnitude does."""
    from pipelines.formats._layer import Layer

    if product_kind(leaves) is None:
        return None
    plain = None
    if product_kind(leaves) == "lora" and "lora_mid.weight" not in leaves:
        up, down = leaves["lora_up.weight"], leaves["lora_down.weight"]
        alpha = leaves.get("alpha")
        scale = 1.0 if alpha is None else float(alpha) / down.shape[0]
        plain = Layer("lora", {"up": up.flatten(1), "down": down.reshape(down.shape[0], *weight.shape[1:])}, scale)

    def change(base: Tensor) -> Tensor:
        found = product(leaves, base)
        assert found is not None
        return found

    return Taken(change, bias, plain)


def product_kind(leaves: Leaves) -> str | None:
    """Return ``lora``, ``loha`` or ``lokr``, None where the tensors make none."""
    if all(end in leaves for end in LORA):
        return "lora"
    if "hada_w1_a" in leaves:
        return "loha"
    return "lokr" if any(end.startswith("lokr_") for end in leaves) else None


def with_magnitude(leaves: Leaves, magnitude: Tensor, norm: Callable[[Tensor, Tensor], Tensor]) -> Taken | None:
    """Return what a LoRA, LoHa or LoKr with a magnitude does.

    Args:
        norm: (W, W + ΔW) -> what the magnitude is divided by, broadcast as the reader does it.
    """
    if product_kind(leaves) is None:
        return None

    def change(base: Tensor) -> Tensor:
        added = product(leaves, base)
        assert added is not None
        total = base + added
        return total * (magnitude.double() / norm(base, total)) - base

    return Taken(change)


def row_norm(weight: Tensor) -> Tensor:
    """Return ‖row‖ [o, 1, …]."""
    return weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))


def column_norm(weight: Tensor) -> Tensor:
    """Return ‖column‖ over outputs and kernel [1, i, …]."""
    return row_norm(weight.transpose(0, 1)).transpose(0, 1)


def added(tensor: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the change that adds a tensor of the weight's size."""
    return lambda base: tensor.double().reshape(base.shape)


def _scale(wide: Leaves, rank: int) -> float:
    return float(wide["alpha"]) / rank if "alpha" in wide else 1.0


def _lora(wide: Leaves) -> Tensor:
    import torch

    up, down = wide["lora_up.weight"].flatten(1), wide["lora_down.weight"]
    if "lora_mid.weight" in wide:
        return torch.einsum("pq...,op,qi->oi...", wide["lora_mid.weight"], up, down.flatten(1))
    return up @ down.flatten(1)


def _half(wide: Leaves, number: str) -> Tensor:
    import torch

    outer, inner = wide[f"hada_w{number}_a"], wide[f"hada_w{number}_b"]
    if f"hada_t{number}" in wide:
        return torch.einsum("pq...,po,qi->oi...", wide[f"hada_t{number}"], outer, inner)
    return outer @ inner.flatten(1)


def _lokr(wide: Leaves) -> Tensor:
    import torch

    rank = 0
    first = wide.get("lokr_w1")
    if first is None:
        rank, first = wide["lokr_w1_b"].shape[0], wide["lokr_w1_a"] @ wide["lokr_w1_b"]
    second = wide.get("lokr_w2")
    if second is None:
        rank = wide["lokr_w2_b"].shape[0]  # the second factor's counts where both are taken apart
        if "lokr_t2" in wide:
            second = torch.einsum("pq...,po,qi->oi...", wide["lokr_t2"], wide["lokr_w2_a"], wide["lokr_w2_b"])
        else:
            second = wide["lokr_w2_a"] @ wide["lokr_w2_b"]
    first = first.reshape(*first.shape, *[1] * (second.ndim - 2))
    return (_scale(wide, rank) if rank else 1.0) * torch.kron(first, second)
