"""Lily: every layer has its own down factor, and a router mixes a few up factors that all layers share.

W x + s A x · Σₑ pₑ(x) Bₑ. Source: Zhong et al. 2024, arXiv 2407.09946.
"""

from typing import Any

from pydantic import Field

from trainers.methods._method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import UNET_TARGETS, RankSettings, peft_config


class LilySettings(RankSettings):
    """Settings of Lily."""

    experts: int = Field(2, ge=1, le=64, description="Number of up factors that all layers share.")
    scale: float = Field(1.0, gt=0, le=100, description="Factor on what the adapter adds.")


def _config(settings: LilySettings, resolve: ResolveTargets) -> Any:
    return peft_config("LilyConfig", settings, resolve, r=settings.rank, num_B=settings.experts, scaling=settings.scale)


METHOD = Method(
    name="lily",
    title="Lily",
    source="Zhong et al. 2024, arXiv 2407.09946",
    settings=LilySettings,
    recommended={
        "unet": Recommendation(1e-3, {"targets": UNET_TARGETS}),
        "text_encoder": Recommendation(1e-3),
    },
    peft_config=_config,
    mergeable=False,
    transposed=False,
    live_weight=BETWEEN,
    lacks={"language_model": "PEFT's router takes a mean over all tokens of a batch, so a token would see later ones"},
)
