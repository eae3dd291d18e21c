"""Exact: W + Σ wᵢ·ΔWᵢ, by concatenating factors, up = [up₁ | up₂ | …] and down = [w₁·down₁ ; w₂·down₂ ; …].

The rank is the sum of the ranks. Adding the factors themselves, as several tools do, is another operation: it leaves
cross terms upᵢ·downⱼ in the result. Any ranks, scales and signs; an adapter at weight 0 takes no room.
"""

from collections.abc import Sequence

import torch

from pipelines.blends._blend import Blend
from pipelines.deltas import LowRankDelta


def combine(deltas: Sequence[LowRankDelta], weights: Sequence[float]) -> LowRankDelta:
    """Return the weighted sum of one layer's deltas in factor form."""
    return LowRankDelta(
        up=torch.cat([delta.up for delta in deltas], dim=1),
        down=torch.cat([delta.down * weight for delta, weight in zip(deltas, weights, strict=True)]),
    )


BLEND = Blend("exact", "Exact weighted sum", "W + Σ wᵢ·ΔWᵢ; factor concatenation", combine, exact=True)
