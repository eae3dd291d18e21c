"""IA³: each output of a layer is multiplied by a learned number; the smallest of all files.

y = l ∘ (W x), l = 1 at first. Source: Liu et al. 2022, arXiv 2205.05638.
"""

from typing import Any

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class Ia3Settings(TargetSettings):
    """Settings of IA³."""


def _config(settings: Ia3Settings, resolve: ResolveTargets) -> Any:
    return peft_config("IA3Config", settings, resolve, feedforward_modules=[])


METHOD = Method(
    name="ia3",
    title="IA³",
    source="Liu et al. 2022, arXiv 2205.05638",
    settings=Ia3Settings,
    recommended={
        "denoiser": Recommendation(3e-2, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-2),
        "language_model": Recommendation(0.005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.1),
    },
    peft_config=_config,
    mergeable=True,
    live_weight=BETWEEN,
)
