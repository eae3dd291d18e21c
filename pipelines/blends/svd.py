"""SVD: the nearest smaller delta to the exact sum, W + truncate(Σ wᵢ·ΔWᵢ).

The error is the tail of the singular values, known before anything is written. By QR of the factors, so no dense matrix
is built. Source: Eckart and Young 1936.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.blends._blend import Blend, Layer
from pipelines.blends._reduce import ReductionSettings, needs_budget, reduce_layers

if TYPE_CHECKING:
    from pipelines.deltas import Delta


def _prepare(layers: Sequence[Layer], settings: ReductionSettings) -> None:
    needs_budget(settings)


def combine(layer: Layer, settings: ReductionSettings, _: object) -> Delta:
    """Return the weighted sum of one layer's deltas; `reduce_layers` lowers its rank."""
    from pipelines.factors import total

    return total(layer.deltas, layer.weights)


BLEND = Blend(
    "svd",
    "Exact sum at a lower rank",
    "truncated SVD of Σ wᵢ·ΔWᵢ; Eckart and Young 1936",
    combine,
    settings=ReductionSettings,
    prepare=_prepare,
    finish=reduce_layers,
)
