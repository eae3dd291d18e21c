"""DEFT: a learned low-rank projection takes a part out of the weight and puts new content in its place.

W' = (I − P) W + Q R. Source: the DEFT tuner of PEFT 0.21, whose documentation names its paper.
"""

from typing import Any

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class DeftSettings(RankSettings):
    """Settings of DEFT."""


def _config(settings: DeftSettings, resolve: ResolveTargets) -> Any:
    return peft_config("DeftConfig", settings, resolve, r=settings.rank)


METHOD = Method(
    name="deft",
    title="DEFT",
    source="PEFT 0.21, tuner DEFT",
    settings=DeftSettings,
    recommended={
        "denoiser": Recommendation(5e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-3),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.004),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
