"""What the sparsifying blends share: trimming by size, electing a sign, and adding those that agree.

They work entry by entry, so their results have full rank: the file holds whole deltas unless a budget makes it
low-rank, and then the proof says what was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from pipelines.blends._reduce import ReductionSettings

if TYPE_CHECKING:
    from torch import Tensor


class SparseSettings(ReductionSettings):
    """Settings of the sparsifying blends."""

    density: float = Field(0.5, gt=0, le=1, description="Share of each delta's entries that is kept.")


class ElectingSettings(SparseSettings):
    """Settings of the blends that settle on one sign for each entry."""

    normalise: bool = Field(
        True, description="Divide an entry's sum by the weights that agree, as the paper does; else keep the sum."
    )
    scale: float = Field(1.0, ge=-100, le=100, description="Factor on the result, the paper's λ.")


def kept_count(count: int, share: float) -> int:
    """Return how many of `count` entries a share is, at least one."""
    return max(1, round(count * share))


def trim(value: Tensor, density: float) -> Tensor:
    """Keep the largest entries and set the others to 0; of equal ones at the border the first stay."""
    import torch

    flat = value.flatten()
    kept = torch.argsort(flat.abs(), descending=True, stable=True)[: kept_count(flat.numel(), density)]
    result = torch.zeros_like(flat)
    result[kept] = flat[kept]
    return result.reshape(value.shape)


def weighted(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return Σ wᵢ·vᵢ."""
    import torch

    return (torch.stack(list(values)) * _column(weights, values[0])).sum(0)


def elect(values: Sequence[Tensor], weights: Sequence[float], *, normalise: bool) -> Tensor:
    """Return per entry the sum of those wᵢ·vᵢ whose sign is that of Σ wᵢ·vᵢ.

    With `normalise` it is divided by the |wᵢ| of the entries that agree: the mean of the vᵢ at equal weights. The
    weights come first, so a negative one turns its votes round.
    """
    import torch

    stacked = torch.stack(list(values))
    shares = stacked * _column(weights, values[0])
    agree = (shares * shares.sum(0).sign()) > 0
    result = (shares * agree).sum(0)
    if not normalise:
        return result
    voices = (agree * _column(weights, values[0]).abs()).sum(0)
    return torch.where(voices > 0, result / voices.clamp(min=1e-300), torch.zeros_like(result))


def _column(weights: Sequence[float], like: Tensor) -> Tensor:
    import torch

    return torch.tensor(list(weights), dtype=like.dtype).reshape(-1, *(1 for _ in like.shape))
