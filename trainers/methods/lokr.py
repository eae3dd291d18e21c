"""LoKr: the delta is a Kronecker product, the smallest of the files that still touch every weight.

ΔW = (alpha / rank) · C ⊗ (B A). Source: Yeh et al. 2023 (LyCORIS), arXiv 2309.14859; Edalati et al. 2022
(KronA), arXiv 2212.10650.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class LokrSettings(RankSettings):
    """Settings of LoKr."""

    alpha: float | None = Field(
        None, gt=0, description="The delta is multiplied by alpha / rank; empty means alpha = rank."
    )
    factor: int = Field(
        8, ge=-1, le=1024, description="Size of the small factor; -1 takes the squarest, a smaller file."
    )


def _config(settings: LokrSettings, resolve: ResolveTargets) -> Any:
    return peft_config(
        "LoKrConfig",
        settings,
        resolve,
        r=settings.rank,
        alpha=settings.alpha or settings.rank,
        decompose_factor=settings.factor,
    )


METHOD = Method(
    name="lokr",
    title="LoKr",
    source="Yeh et al. 2023, arXiv 2309.14859",
    settings=LokrSettings,
    recommended={
        "denoiser": Recommendation(5e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(1.5e-3),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.02),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
)
