"""PEANuT: the delta is what a small network makes of the frozen weight.

ΔW = s · f(W A) B. Source: Zhong et al. 2024 (NEAT), arXiv 2410.01870.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class PeanutSettings(RankSettings):
    """Settings of PEANuT."""

    scale: float = Field(1.0, gt=0, le=1000, description="Factor on the delta.")


def _config(settings: PeanutSettings, resolve: ResolveTargets) -> Any:
    return peft_config("PeanutConfig", settings, resolve, r=settings.rank, scaling=settings.scale)


METHOD = Method(
    name="peanut",
    title="PEANuT",
    source="Zhong et al. 2024, arXiv 2410.01870",
    settings=PeanutSettings,
    recommended={
        "denoiser": Recommendation(3e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-3),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.005),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
