"""ZipLoRA: one learned number for each input column of each layer and adapter, so that columns do not meet.

ΔW = Σ ΔWᵢ·diag(mᵢ); the mᵢ minimise Σᵢ ‖ε(xᵢ; W + ΔW) − ε(xᵢ; W + wᵢ·ΔWᵢ)‖² + λ · mean |m₁·m₂| over the UNet, beginning
at mᵢ = wᵢ. Scaling columns of B·A is scaling columns of A, so the result keeps the form of factors, [B₁|B₂] and
[A₁·diag m₁; A₂·diag m₂]. Source: Shah et al. 2023, arXiv 2311.13600, equations 3 to 5. An adapter does not hold its
training pictures, so xᵢ are noised pictures that adapter i itself draws of the prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pipelines.blends._blend import Address, Blend, BlendSettings, Layer, Learning

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.deltas import Delta


class ZiploraSettings(BlendSettings):
    """Settings of ZipLoRA."""

    steps: int = Field(60, ge=1, le=10_000, description="Steps of learning; the paper takes 100.")
    learning_rate: float = Field(0.01, gt=0, le=1, description="Step size of Adam on the column numbers.")
    overlap_penalty: float = Field(0.01, ge=0, le=100, description="Weight of mean |m₁·m₂|, the paper's λ.")
    prompts: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="By adapter, what it is asked to draw; empty: its triggers."
    )
    pictures: int = Field(4, ge=1, le=64, description="Pictures that each adapter draws to learn from.")
    sampling_steps: int = Field(10, ge=1, le=100, description="Sampling steps of those pictures.")


def _learn(learning: Learning, settings: ZiploraSettings) -> Mapping[Address, Mapping[str, Tensor]]:
    from pipelines.column_learning import learn_columns  # the loaded base's arithmetic; not needed to list the blends

    return learn_columns(learning, settings)


def combine(layer: Layer, settings: ZiploraSettings, columns: Any) -> Delta:
    """Return the sum with scaled columns; what the UNet does not share is weighted plainly."""
    from pipelines.deltas import LowRankDelta
    from pipelines.factors import total

    learned = (columns or {}).get((layer.part, layer.path))
    if learned is None:
        return total(layer.deltas, layer.weights)
    scaled: list[Delta] = []
    for name, delta in zip(layer.names, layer.deltas, strict=True):
        assert isinstance(delta, LowRankDelta)
        factors = learned[name].reshape(1, -1, *(1 for _ in delta.down.shape[2:]))
        scaled.append(LowRankDelta(delta.up, delta.down * factors))
    return total(scaled, [1.0] * len(scaled))


BLEND = Blend(
    "ziplora",
    "ZipLoRA",
    "Σ ΔWᵢ·diag(mᵢ), mᵢ learned; Shah et al. 2023, arXiv 2311.13600, eq. 3–5",
    combine,
    settings=ZiploraSettings,
    learn=_learn,
)
