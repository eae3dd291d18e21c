"""DARE: drop entries at random and rescale the others, so that the sum stays right on average.

δ̂ᵢ = m ∘ ΔWᵢ / density with m ~ Bernoulli(density); ΔW = Σ wᵢ·δ̂ᵢ, or with `elect` only those entries that agree in
sign. Source: Yu et al. 2023, arXiv 2311.03099, equations 2 and 3. The masks follow the recipe's seed, the input's
content and the layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipelines.blends._blend import Blend, Layer
from pipelines.blends._reduce import reduce_layers
from pipelines.blends._sparse import SparseSettings, elect, weighted

if TYPE_CHECKING:
    from pipelines.deltas import Delta


class DareSettings(SparseSettings):
    """Settings of DARE."""

    elect: bool = Field(False, description="Add only the entries whose sign is that of the sum (DARE with TIES).")


def combine(layer: Layer, settings: DareSettings, _: object) -> Delta:
    """Return the weighted sum of one layer's thinned deltas."""
    import torch

    from pipelines.deltas import DenseDelta

    thinned = []
    for name, value in zip(layer.names, layer.dense(), strict=True):
        draws = torch.rand(value.shape, generator=layer.generator(name), dtype=torch.float64)
        thinned.append(value * (draws < settings.density) / settings.density)
    if settings.elect:
        return DenseDelta(elect(thinned, layer.weights, normalise=False))
    return DenseDelta(weighted(thinned, layer.weights))


BLEND = Blend(
    "dare",
    "DARE",
    "Σ wᵢ·m∘ΔWᵢ/density; Yu et al. 2023, arXiv 2311.03099, eq. 2–3",
    combine,
    settings=DareSettings,
    finish=reduce_layers,
)
