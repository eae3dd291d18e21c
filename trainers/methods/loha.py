"""LoHa: the delta is the product, entry by entry, of two low-rank matrices, so that a small file reaches a high rank.

ΔW = (alpha / rank) · (B₁A₁) ∘ (B₂A₂). Source: Hyeon-Woo et al. 2021 (FedPara), arXiv 2108.06098;
LyCORIS, Yeh et al. 2023, arXiv 2309.14859.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class LohaSettings(RankSettings):
    """Settings of LoHa."""

    alpha: float | None = Field(
        None, gt=0, description="The delta is multiplied by alpha / rank; empty means alpha = rank."
    )


def _config(settings: LohaSettings, resolve: ResolveTargets) -> Any:
    return peft_config("LoHaConfig", settings, resolve, r=settings.rank, alpha=settings.alpha or settings.rank)


METHOD = Method(
    name="loha",
    title="LoHa",
    source="Hyeon-Woo et al. 2021, arXiv 2108.06098",
    settings=LohaSettings,
    recommended={
        "denoiser": Recommendation(3e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-3),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
)
