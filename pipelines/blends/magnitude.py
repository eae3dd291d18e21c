"""Magnitude: every delta is cut to its largest entries, then Σ wᵢ·trim(ΔWᵢ). Nothing is rescaled.

Source: Han et al. 2015, arXiv 1506.02626, pruning by magnitude, of deltas instead of weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.blends._blend import Blend, Layer
from pipelines.blends._reduce import reduce_layers
from pipelines.blends._sparse import SparseSettings, trim, weighted

if TYPE_CHECKING:
    from pipelines.deltas import Delta


def combine(layer: Layer, settings: SparseSettings, _: object) -> Delta:
    """Return the weighted sum of one layer's trimmed deltas."""
    from pipelines.deltas import DenseDelta

    return DenseDelta(weighted([trim(value, settings.density) for value in layer.dense()], layer.weights))


BLEND = Blend(
    "magnitude",
    "Magnitude pruning",
    "Σ wᵢ·trim(ΔWᵢ); Han et al. 2015, arXiv 1506.02626",
    combine,
    settings=SparseSettings,
    finish=reduce_layers,
)
