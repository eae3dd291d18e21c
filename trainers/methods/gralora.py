"""GraLoRA: the weight is cut into a grid, and every cell has a low-rank delta of its own.

Source: Jung et al. 2025, arXiv 2505.20355.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class GraloraSettings(RankSettings):
    """Settings of GraLoRA."""

    alpha: float | None = Field(
        None, gt=0, description="The delta is multiplied by alpha / rank; empty means alpha = rank."
    )
    cells: int = Field(2, ge=1, le=64, description="Cells along each side of the grid; it must divide widths and rank.")


def _config(settings: GraloraSettings, resolve: ResolveTargets) -> Any:
    return peft_config(
        "GraloraConfig",
        settings,
        resolve,
        r=settings.rank,
        alpha=settings.alpha or settings.rank,
        gralora_k=settings.cells,
    )


METHOD = Method(
    name="gralora",
    title="GraLoRA",
    source="Jung et al. 2025, arXiv 2505.20355",
    settings=GraloraSettings,
    recommended={
        "denoiser": Recommendation(3e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-3),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=True,
    live_weight=BETWEEN,
)
