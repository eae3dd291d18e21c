"""SLERP: two deltas along the arc between them, which keeps the length that a straight mean loses.

With t = w₂ / (w₁ + w₂) and Ω the angle between the deltas, ΔW = (w₁ + w₂) · (sin((1−t)Ω)·ΔW₁ + sin(tΩ)·ΔW₂) / sin Ω.
Both factors are plain numbers, so the result stays in factor form and loses nothing. Source: Shoemake 1985.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipelines.blends._blend import Blend, BlendSettings, Layer
from trainers.errors import UserError

if TYPE_CHECKING:
    from pipelines.deltas import Delta

_PARALLEL = 1e-6


class SlerpSettings(BlendSettings):
    """Settings of SLERP."""

    angle_over: Literal["layer", "adapter"] = Field(
        "layer", description="Whether each layer has its own angle, or one angle holds for the whole adapters."
    )


def arc_factors(cosine: float, t: float) -> tuple[float, float]:
    """Return the factors of both ends at the share t of the way; straight where the ends are parallel."""
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if math.sin(angle) < _PARALLEL:
        return 1 - t, t
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def _prepare(layers: Sequence[Layer], settings: SlerpSettings) -> float | None:
    """Return the cosine between the whole adapters, if that is wanted."""
    from pipelines.factors import inner, norm

    names = sorted(layers[0].inputs)
    wrong = [f"{name}:{layers[0].inputs[name]:g}" for name in names if layers[0].inputs[name] < 0]
    if len(names) != 2 or wrong:
        raise UserError(
            f"SLERP goes from one adapter to a second, with weights above 0; given are {len(names)}"
            f"{' with ' + ', '.join(wrong) if wrong else ''}. Use 'exact' for others."
        )
    if settings.angle_over == "layer":
        return None
    products = sum(inner(*layer.deltas) for layer in layers if len(layer.deltas) == 2)
    squares = dict.fromkeys(names, 0.0)
    for layer in layers:
        for name, delta in zip(layer.names, layer.deltas, strict=True):
            squares[name] += norm(delta) ** 2
    return products / (math.sqrt(math.prod(squares.values())) or 1.0)


def combine(layer: Layer, settings: SlerpSettings, cosine: float | None) -> Delta:
    """Return the delta between two; a layer that one input lacks is weighted straight."""
    from pipelines.factors import inner, norm, total

    if len(layer.deltas) != 2:
        return total(layer.deltas, layer.weights)
    if min(layer.weights) < 0:
        raise UserError(
            f"SLERP needs weights above 0, also by part and block; {layer.path} has {min(layer.weights):g}."
        )
    if cosine is None:
        cosine = inner(*layer.deltas) / (norm(layer.deltas[0]) * norm(layer.deltas[1]) or 1.0)
    whole = sum(layer.weights)
    if whole == 0:
        return total(layer.deltas, layer.weights)
    first, second = arc_factors(cosine, layer.weights[1] / whole)
    return total(layer.deltas, (whole * first, whole * second))


BLEND = Blend(
    "slerp",
    "Spherical interpolation",
    "Σwᵢ · (sin((1−t)Ω)·ΔW₁ + sin(tΩ)·ΔW₂) / sin Ω; Shoemake 1985",
    combine,
    settings=SlerpSettings,
    prepare=_prepare,
)
