"""Exact: W + Σ wᵢ·ΔWᵢ, by concatenating factors, up = [up₁ | up₂ | …] and down = [w₁·down₁ ; w₂·down₂ ; …].

The rank is the sum of the ranks. Adding the factors themselves, as several tools do, is another operation: it leaves
cross terms upᵢ·downⱼ in the result. Any ranks, scales and signs (subtraction is a negative weight); an adapter at
weight 0 takes no room. Where an input has no factors, the sum is taken entry by entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.blends._blend import EXACT, Blend, BlendSettings, Layer

if TYPE_CHECKING:
    from pipelines.deltas import Delta


def combine(layer: Layer, settings: BlendSettings, _: object) -> Delta:
    """Return the weighted sum of one layer's deltas."""
    from pipelines.factors import total

    return total(layer.deltas, layer.weights)


BLEND = Blend("exact", "Exact weighted sum", "W + Σ wᵢ·ΔWᵢ; factor concatenation", combine, kind=EXACT)
