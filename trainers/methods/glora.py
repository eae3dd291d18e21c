"""GLoRA: one form for a delta of the weight, of the bias and of the input, each scaled or low-rank.

y = (W + W A + B) x + C W + D b + E + b. Source: Chavan et al. 2023, arXiv 2306.07967.
"""

from typing import Any

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class GloraSettings(RankSettings):
    """Settings of GLoRA."""


def _config(settings: GloraSettings, resolve: ResolveTargets) -> Any:
    return peft_config("GloraConfig", settings, resolve, r=settings.rank)


METHOD = Method(
    name="glora",
    title="GLoRA",
    source="Chavan et al. 2023, arXiv 2306.07967",
    settings=GloraSettings,
    recommended={
        "denoiser": Recommendation(1e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-3),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.004),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
