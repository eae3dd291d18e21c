"""Min-SNR: how much the squared error counts at each noise level (Hang et al. 2023, arXiv 2303.09556, section 3.4).

With SNR = ᾱ / (1 − ᾱ), the paper's weight of min(SNR, γ) on the error of the clean picture is min(SNR, γ) / SNR on the
error of the noise, and min(SNR, γ) / (SNR + 1) on the error of the velocity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from trainers.loss_weightings._loss_weighting import LossWeighting, WeightingSettings

if TYPE_CHECKING:
    from torch import Tensor


class MinSnrSettings(WeightingSettings):
    """Settings of min-SNR."""

    gamma: float = Field(5.0, gt=0, description="Cap of the signal-to-noise ratio, γ; 5 is usual.")
    floor: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Smallest weight of a level; empty is none, as in the paper. A base with zero terminal SNR that "
        "predicts velocity learns nothing from its level of pure noise without one.",
    )


def _weigh(snr: Tensor, prediction: str, settings: MinSnrSettings) -> Tensor:
    if prediction == "v_prediction":
        weights = snr.clamp(max=settings.gamma) / (snr + 1)
    else:  # γ / max(SNR, γ) is min(SNR, γ) / SNR with its limit of 1 at pure noise
        weights = settings.gamma / snr.clamp(min=settings.gamma)
    return weights if settings.floor is None else weights.clamp(min=settings.floor)


LOSS_WEIGHTING = LossWeighting(
    "min_snr",
    "Min-SNR",
    "Hang et al. 2023, arXiv 2303.09556, section 3.4",
    _weigh,
    MinSnrSettings,
    lacks={"flow": "the paper derives it for the noise and the velocity of a diffusion, not for a flow's."},
)
