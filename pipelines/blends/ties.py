"""TIES: trim every delta to its largest entries, elect a sign for each entry, and merge those that agree.

τ̂ᵢ = trim(ΔWᵢ), γ = sgn(Σ wᵢ·τ̂ᵢ), ΔW = λ · Σ_{A} wᵢ·τ̂ᵢ / Σ_{A} |wᵢ| with A the inputs whose wᵢ·τ̂ᵢ has the sign γ.
Source: Yadav et al. 2023, arXiv 2306.01708, algorithm 1; weights as in arcee-ai/mergekit, before the election.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.blends._blend import Blend, Layer
from pipelines.blends._reduce import reduce_layers
from pipelines.blends._sparse import ElectingSettings, elect, trim

if TYPE_CHECKING:
    from pipelines.deltas import Delta


def combine(layer: Layer, settings: ElectingSettings, _: object) -> Delta:
    """Return one layer's merged delta."""
    from pipelines.deltas import DenseDelta

    trimmed = [trim(value, settings.density) for value in layer.dense()]
    return DenseDelta(elect(trimmed, layer.weights, normalise=settings.normalise) * settings.scale)


BLEND = Blend(
    "ties",
    "TIES",
    "trim, elect sign, merge; Yadav et al. 2023, arXiv 2306.01708, alg. 1",
    combine,
    settings=ElectingSettings,
    finish=reduce_layers,
)
