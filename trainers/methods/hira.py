"""HiRA: the delta is the frozen weight times a low-rank matrix, entry by entry, so its rank is as high as the weight's.

ΔW = W ∘ (B A). Source: Huang et al. 2025 (ICLR).
"""

from typing import Any

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class HiraSettings(RankSettings):
    """Settings of HiRA."""


def _config(settings: HiraSettings, resolve: ResolveTargets) -> Any:
    return peft_config("HiraConfig", settings, resolve, r=settings.rank)


METHOD = Method(
    name="hira",
    title="HiRA",
    source="Huang et al. 2025, ICLR",
    settings=HiraSettings,
    recommended={
        "denoiser": Recommendation(1e-2, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(2e-2),
        "language_model": Recommendation(0.002, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.04),
    },
    peft_config=_config,
    mergeable=True,
    live_weight=BETWEEN,
)
