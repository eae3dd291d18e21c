"""Linear algebra of low-rank deltas that never builds the dense matrix.

ΔW = U D with U [o, r] and D [r, n]. From the thin QR decompositions U = Q₁R₁ and Dᵀ = Q₂R₂ follows ΔW = Q₁ (R₁R₂ᵀ) Q₂ᵀ,
so norms and singular values are those of the small core R₁R₂ᵀ [r, r]. Kernels of convolutions are flattened to n.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.deltas import Delta, DenseDelta, LowRankDelta


@dataclass(frozen=True)
class Decomposition:
    """ΔW = left · diag(values) · right."""

    left: Tensor
    """[o, k], orthonormal columns"""
    values: Tensor
    """[k], falling"""
    right: Tensor
    """[k, n], orthonormal rows"""
    shape: torch.Size
    """The shape of ΔW."""

    def truncated(self, rank: int) -> LowRankDelta:
        """Return the nearest delta of a rank (Eckart and Young 1936), √σ on both sides, which keeps fp16 in range."""
        root = self.values[:rank].sqrt()
        up, down = self.left[:, :rank] * root, root[:, None] * self.right[:rank]
        if len(self.shape) == 4:
            up, down = up[:, :, None, None], down.reshape(rank, *self.shape[1:])
        return LowRankDelta(up.contiguous(), down.contiguous())

    def tail(self, rank: int) -> float:
        """Return ‖ΔW − truncated(rank)‖, known before anything is written."""
        return float(self.values[rank:].norm())


def decompose(delta: Delta) -> Decomposition:
    """Return the singular value decomposition; columns of σ below float64's rounding are left out.

    Biases and norms have none: their delta must be a matrix or a kernel.
    """
    if isinstance(delta, DenseDelta):
        left, values, right = torch.linalg.svd(delta.value.flatten(1), full_matrices=False)
        size = max(delta.value.flatten(1).shape)
    else:
        q1, r1 = torch.linalg.qr(delta.up.flatten(1))
        q2, r2 = torch.linalg.qr(delta.down.flatten(1).T)
        left, values, right = torch.linalg.svd(r1 @ r2.T, full_matrices=False)
        left, right = q1 @ left, right @ q2.T
        size = delta.rank
    real = int((values > values[:1] * size * torch.finfo(values.dtype).eps).sum())
    return Decomposition(left[:, :real], values[:real], right[:real], delta.shape)


def norm(delta: Delta) -> float:
    """Return ‖ΔW‖ (Frobenius). By QR and not by Gram matrices, which lose half of the digits where factors cancel."""
    if isinstance(delta, DenseDelta):
        return float(delta.value.norm())
    r1 = torch.linalg.qr(delta.up.flatten(1), mode="r").R
    r2 = torch.linalg.qr(delta.down.flatten(1).T, mode="r").R
    return float((r1 @ r2.T).norm())


def inner(first: Delta, second: Delta) -> float:
    """Return ⟨ΔW₁, ΔW₂⟩, the sum of the products of entries: Σ (U₁ᵀU₂) ∘ (D₁D₂ᵀ)."""
    if isinstance(first, LowRankDelta) and isinstance(second, LowRankDelta):
        ups = first.up.flatten(1).T @ second.up.flatten(1)
        return float((ups * (first.down.flatten(1) @ second.down.flatten(1).T)).sum())
    return float((first.dense() * second.dense()).sum())


def total(deltas: Sequence[Delta], weights: Sequence[float]) -> Delta:
    """Return Σ wᵢ·ΔWᵢ: factors side by side while all are low-rank, else entry by entry."""
    low = [delta for delta in deltas if isinstance(delta, LowRankDelta)]
    if len(low) == len(deltas):
        return LowRankDelta(
            up=torch.cat([delta.up for delta in low], dim=1),
            down=torch.cat([delta.down * weight for delta, weight in zip(low, weights, strict=True)]),
        )
    value = sum(delta.dense() * weight for delta, weight in zip(deltas, weights, strict=True))
    assert isinstance(value, Tensor)
    return DenseDelta(value)


def distance(first: Delta, second: Delta) -> float:
    """Return ‖ΔW₁ − ΔW₂‖."""
    return norm(total([first, second], [1.0, -1.0]))
