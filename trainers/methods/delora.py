"""DeLoRA: a low-rank delta of bounded size; its directions and its strength are learned apart.

W + (λ ‖W‖ / r) Σᵢ bᵢ aᵢ / (‖bᵢ‖ ‖aᵢ‖). Source: Bini et al. 2025, arXiv 2503.18225, equation 6.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class DeloraSettings(RankSettings):
    """Settings of DeLoRA."""

    bound: float = Field(
        15.0, gt=0, le=1000, description="What the strength λ begins with; it bounds the delta's size."
    )


def _config(settings: DeloraSettings, resolve: ResolveTargets) -> Any:
    return peft_config("DeloraConfig", settings, resolve, r=settings.rank, delora_lambda=settings.bound)


METHOD = Method(
    name="delora",
    title="DeLoRA",
    source="Bini et al. 2025, arXiv 2503.18225, eq. 6",
    settings=DeloraSettings,
    recommended={
        "denoiser": Recommendation(1e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(3e-4),
        "language_model": Recommendation(1e-3, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.0006),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
