"""FourierFT: the delta is the inverse Fourier transform of a few learned frequencies.

ΔW = α · Re(IDFT₂(F)), F zero but for n entries. Source: Gao et al. 2024, arXiv 2405.03003.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class FourierftSettings(TargetSettings):
    """Settings of FourierFT."""

    frequencies: int = Field(1000, ge=1, le=1_000_000, description="Number of learned frequencies in each layer.")
    scale: float = Field(150.0, gt=0, le=10_000, description="Factor on the delta.")


def _config(settings: FourierftSettings, resolve: ResolveTargets) -> Any:
    return peft_config(
        "FourierFTConfig",
        settings,
        resolve,
        n_frequency=settings.frequencies,
        scaling=settings.scale,
        init_weights=True,
    )


METHOD = Method(
    name="fourierft",
    title="FourierFT",
    source="Gao et al. 2024, arXiv 2405.03003",
    settings=FourierftSettings,
    recommended={
        "denoiser": Recommendation(3e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(0.03),
        "language_model": Recommendation(0.01, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.1),
    },
    peft_config=_config,
    mergeable=True,
    live_weight=BETWEEN,
)
