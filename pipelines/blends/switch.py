"""Switch: one adapter at a time, the next one every k sampling steps.

Source: Zhong et al. 2024 (Multi-LoRA Composition), arXiv 2402.16843, LoRA Switch. A schedule, so no file can hold it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipelines.blends._blend import LIVE, Blend, BlendSettings, Layer

if TYPE_CHECKING:
    from pipelines.deltas import Delta


class SwitchSettings(BlendSettings):
    """Settings of switching."""

    every: int = Field(1, ge=1, le=1000, description="Sampling steps before the next adapter takes over.")
    order: tuple[str, ...] = Field((), description="The adapters in the order of their turns; empty: by name.")


def active_input(layer: Layer, settings: SwitchSettings) -> str:
    """Return whose turn it is."""
    order = settings.order or tuple(sorted(layer.inputs))
    return order[(layer.step // settings.every) % len(order)]


def combine(layer: Layer, settings: SwitchSettings, _: object) -> Delta:
    """Return the active adapter's delta, weighted; 0 where it does not touch the layer."""
    name = active_input(layer, settings)
    if name not in layer.names:
        return layer.deltas[0].scaled(0.0)
    number = layer.names.index(name)
    return layer.deltas[number].scaled(layer.weights[number])


BLEND = Blend(
    "switch",
    "Taking turns over the steps",
    "ΔW(t) = w·ΔW of one input in turn; Zhong et al. 2024, arXiv 2402.16843",
    combine,
    settings=SwitchSettings,
    kind=LIVE,
)
