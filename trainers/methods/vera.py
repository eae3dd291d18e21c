"""VeRA: the factors are random and frozen, the same for all layers; each layer learns two vectors of scales.

W + diag(b) B diag(d) A. A and B are drawn from a key and are not in the file, which is tiny. Source: Kopiczko et al.
2023, arXiv 2310.11454, equation 2.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class VeraSettings(TargetSettings):
    """Settings of VeRA."""

    rank: int = Field(256, ge=1, le=4096, description="Rank of the frozen factors; the file grows by a number each.")
    start: float = Field(0.1, gt=0, le=10, description="What the inner scales d begin with.")


def _config(settings: VeraSettings, resolve: ResolveTargets) -> Any:
    return peft_config(
        "VeraConfig", settings, resolve, r=settings.rank, d_initial=settings.start, save_projection=False
    )


METHOD = Method(
    name="vera",
    title="VeRA",
    source="Kopiczko et al. 2023, arXiv 2310.11454, eq. 2",
    settings=VeraSettings,
    recommended={
        "denoiser": Recommendation(3e-2, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(3e-2),
        "language_model": Recommendation(4e-3, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.05),
    },
    peft_config=_config,
    mergeable=True,
    live_weight=BETWEEN,
)
