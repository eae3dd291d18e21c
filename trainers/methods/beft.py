"""BEFT: each adapted layer gets a learned bias, also where the base has none.

y = W x + b + Δb; a Llama, which has no biases for BitFit, can be tuned this way. Source: Huang et al. 2025, arXiv
2509.15974.
"""

from typing import Any

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class BeftSettings(TargetSettings):
    """Settings of BEFT."""


def _config(settings: BeftSettings, resolve: ResolveTargets) -> Any:
    return peft_config("BeftConfig", settings, resolve)


METHOD = Method(
    name="beft",
    title="BEFT",
    source="Huang et al. 2025, arXiv 2509.15974",
    settings=BeftSettings,
    recommended={
        "denoiser": Recommendation(1e-2, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(1e-3),
        "language_model": Recommendation(1e-3, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.1),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
