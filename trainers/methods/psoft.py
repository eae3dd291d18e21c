"""PSOFT: a rotation inside the subspace of the weight's largest singular directions.

Source: the PSOFT tuner of PEFT 0.21, whose documentation names its paper.
"""

from typing import Any

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class PsoftSettings(RankSettings):
    """Settings of PSOFT."""


def _config(settings: PsoftSettings, resolve: ResolveTargets) -> Any:
    return peft_config("PsoftConfig", settings, resolve, r=settings.rank, psoft_alpha=settings.rank)


METHOD = Method(
    name="psoft",
    title="PSOFT",
    source="PEFT 0.21, tuner PSOFT",
    settings=PsoftSettings,
    recommended={
        "denoiser": Recommendation(1e-2, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(1e-2),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
