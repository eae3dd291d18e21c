"""MiSS: one small matrix, repeated over shards of the input, is the whole delta.

y = W x + D · Σ over shards of x. Source: Kang and Yin 2024, arXiv 2409.15371.
"""

from typing import Any

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class MissSettings(RankSettings):
    """Settings of MiSS."""


def _config(settings: MissSettings, resolve: ResolveTargets) -> Any:
    return peft_config("MissConfig", settings, resolve, r=settings.rank)


METHOD = Method(
    name="miss",
    title="MiSS",
    source="Kang and Yin 2024, arXiv 2409.15371",
    settings=MissSettings,
    recommended={
        "denoiser": Recommendation(2e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(1.5e-3),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.003),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
