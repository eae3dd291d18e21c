"""PVeRA: VeRA whose inner projection is drawn from a learned distribution while it is trained.

W x + diag(b) B (μ + σ ε), where μ and log σ² are two halves of diag(d) A x and ε is noise; outside of training ε is 0.
Source: the PVeRA tuner of PEFT 0.21 and its paper, arXiv 2512.07703.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class PveraSettings(TargetSettings):
    """Settings of PVeRA."""

    rank: int = Field(256, ge=1, le=4096, description="Rank of the frozen factors; the file grows by two numbers each.")
    start: float = Field(0.1, gt=0, le=10, description="What the inner scales d begin with.")


def _config(settings: PveraSettings, resolve: ResolveTargets) -> Any:
    return peft_config(
        "PveraConfig", settings, resolve, r=settings.rank, d_initial=settings.start, save_projection=False
    )


METHOD = Method(
    name="pvera",
    title="PVeRA",
    source="arXiv 2512.07703, tuner PVeRA of PEFT 0.21",
    settings=PveraSettings,
    recommended={
        "denoiser": Recommendation(1e-2, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(1e-2),
        "language_model": Recommendation(3e-3, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.1),
    },
    peft_config=_config,
    mergeable=True,
    live_weight=BETWEEN,
)
