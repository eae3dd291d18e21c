"""K-LoRA: every layer takes either the subject's or the style's delta, by the sums of their largest entries.

At step t of T a layer takes the subject's while S_c ≥ γ·(α·t/T + β)·S_s, with S the sum of the K = r_c·r_s largest |ΔW|
of the layer and γ = Σ|ΔW_c| / Σ|ΔW_s| over all layers. The sums do not change, so each layer has one step at which it
goes over to the style, known before sampling: a schedule, so no file can hold it. Source: Ouyang et al. 2025, arXiv
2502.18461, equations 4 to 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from pipelines.blends._blend import LIVE, Address, Blend, BlendSettings, Layer
from trainers.errors import UserError

if TYPE_CHECKING:
    from pipelines.deltas import Delta


class KloraSettings(BlendSettings):
    """Settings of K-LoRA."""

    subject: str = Field("", description="The adapter that rules first; empty: the first by name.")
    alpha: float = Field(1.5, ge=0, le=100, description="How much the style's share grows over the steps.")
    beta: float = Field(0.5, ge=0, le=100, description="The style's share at the first step.")


def _prepare(layers: Sequence[Layer], settings: KloraSettings) -> Mapping[Address, tuple[float, float]]:
    """Return S_c and γ·S_s of every layer that both touch."""
    names = sorted(layers[0].inputs)
    subject = settings.subject or names[0]
    if len(names) != 2 or subject not in names:
        raise UserError(f"K-LoRA chooses between two adapters, one of them the subject {subject!r}; given: {names}.")
    sums: dict[Address, dict[str, float]] = {}
    sizes = dict.fromkeys(names, 0.0)
    for layer in layers:
        count = 1
        for delta in layer.deltas:
            count *= delta.rank
        for name, value in zip(layer.names, layer.dense(), strict=True):
            entries = value.abs().flatten()
            sizes[name] += float(entries.sum())
            largest = float(entries.topk(min(count, entries.numel())).values.sum())
            sums.setdefault((layer.part, layer.path), {})[name] = largest
    style = names[1 - names.index(subject)]
    balance = sizes[subject] / (sizes[style] or 1.0)
    return {address: (by[subject], balance * by[style]) for address, by in sums.items() if len(by) == 2}


def combine(layer: Layer, settings: KloraSettings, sums: Mapping[Address, tuple[float, float]]) -> Delta:
    """Return the chosen adapter's delta, weighted."""
    if len(layer.deltas) < 2:
        return layer.deltas[0].scaled(layer.weights[0])
    subject = layer.names.index(settings.subject or min(layer.names))
    own, other = sums[layer.part, layer.path]
    chosen = subject if own >= other * (settings.alpha * layer.step / layer.steps + settings.beta) else 1 - subject
    return layer.deltas[chosen].scaled(layer.weights[chosen])


BLEND = Blend(
    "klora",
    "K-LoRA",
    "subject or style by layer and step; Ouyang et al. 2025, arXiv 2502.18461",
    combine,
    settings=KloraSettings,
    kind=LIVE,
    prepare=_prepare,
)
