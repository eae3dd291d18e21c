"""DELLA: drop entries at random, small ones more often than large ones, then elect signs.

In each row of n entries the one of rank k by size (0 the smallest) is dropped with probability
p_k = 1 − density + ε·(1/2 − k/(n−1)) and, when kept, divided by 1 − p_k. Source: Deep et al. 2024, arXiv 2406.11617,
equations 1 to 3 (MAGPRUNE), with their window ε centred on the drop rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pipelines.blends._blend import Blend, Layer
from pipelines.blends._reduce import reduce_layers
from pipelines.blends._sparse import ElectingSettings, elect

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.deltas import Delta


class DellaSettings(ElectingSettings):
    """Settings of DELLA."""

    window: float = Field(
        0.2, ge=0, lt=1, description="How much likelier the smallest entry is dropped than the largest, the paper's ε."
    )

    @model_validator(mode="after")
    def _probabilities(self) -> DellaSettings:
        low, high = self.density - self.window / 2, self.density + self.window / 2
        if low <= 0 or high > 1:
            raise ValueError(
                f"density {self.density:g} ± window/2 must stay above 0 and up to 1, not {low:g} to {high:g}"
            )
        return self


def keep_probabilities(value: Tensor, density: float, window: float) -> Tensor:
    """Return every entry's probability of being kept, by its rank in its row."""
    import torch

    rows = value.flatten(1) if value.ndim > 1 else value[None]
    order = rows.abs().argsort(dim=1, stable=True)
    ranks = torch.empty_like(rows).scatter_(1, order, torch.arange(rows.shape[1], dtype=rows.dtype).expand_as(rows))
    share = ranks / max(rows.shape[1] - 1, 1)
    return (density - window * (0.5 - share)).reshape(value.shape)


def combine(layer: Layer, settings: DellaSettings, _: object) -> Delta:
    """Return one layer's merged delta."""
    import torch

    from pipelines.deltas import DenseDelta

    thinned = []
    for name, value in zip(layer.names, layer.dense(), strict=True):
        keep = keep_probabilities(value, settings.density, settings.window)
        draws = torch.rand(value.shape, generator=layer.generator(name), dtype=torch.float64)
        thinned.append(value * (draws < keep) / keep)
    return DenseDelta(elect(thinned, layer.weights, normalise=settings.normalise) * settings.scale)


BLEND = Blend(
    "della",
    "DELLA",
    "drop by rank of size, elect, merge; Deep et al. 2024, arXiv 2406.11617",
    combine,
    settings=DellaSettings,
    finish=reduce_layers,
)
