"""Breadcrumbs: leave out the largest entries of every delta as outliers and the smallest as noise, then add.

ΔW = Σ wᵢ·m(ΔWᵢ)∘ΔWᵢ, m keeping `density` of the entries below the largest `outliers`. Source: Davari and Belilovsky
2023, arXiv 2312.06795, section 3, whose β is 1 − density − outliers and whose γ is `outliers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pipelines.blends._blend import Blend, Layer
from pipelines.blends._reduce import reduce_layers
from pipelines.blends._sparse import SparseSettings, kept_count, weighted

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.deltas import Delta


class BreadcrumbsSettings(SparseSettings):
    """Settings of breadcrumbs."""

    density: float = Field(0.9, gt=0, le=1, description="Share of each delta's entries that is kept.")
    outliers: float = Field(0.01, ge=0, lt=1, description="Share of the largest entries that is left out.")

    @model_validator(mode="after")
    def _shares(self) -> BreadcrumbsSettings:
        if self.density + self.outliers > 1:
            raise ValueError(f"density {self.density:g} and outliers {self.outliers:g} are more than 1 together")
        return self


def crumbs(value: Tensor, density: float, outliers: float) -> Tensor:
    """Keep the entries between the outliers and the noise."""
    import torch

    flat = value.flatten()
    order = torch.argsort(flat.abs(), descending=True, stable=True)
    first = int(flat.numel() * outliers)
    kept = order[first : first + kept_count(flat.numel(), density)]
    result = torch.zeros_like(flat)
    result[kept] = flat[kept]
    return result.reshape(value.shape)


def combine(layer: Layer, settings: BreadcrumbsSettings, _: object) -> Delta:
    """Return the weighted sum of one layer's masked deltas."""
    from pipelines.deltas import DenseDelta

    masked = [crumbs(value, settings.density, settings.outliers) for value in layer.dense()]
    return DenseDelta(weighted(masked, layer.weights))


BLEND = Blend(
    "breadcrumbs",
    "Model breadcrumbs",
    "Σ wᵢ·m∘ΔWᵢ, m without the largest and smallest; Davari and Belilovsky 2023, arXiv 2312.06795",
    combine,
    settings=BreadcrumbsSettings,
    finish=reduce_layers,
)
