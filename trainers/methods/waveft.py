"""WaveFT: the delta is the inverse wavelet transform of a few learned coefficients.

ΔW = s · IDWT₂(C), C zero but for n entries. Source: Bilican et al. 2025, arXiv 2505.12532.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class WaveftSettings(TargetSettings):
    """Settings of WaveFT."""

    coefficients: int = Field(256, ge=1, le=1_000_000, description="Number of learned coefficients in each layer.")
    scale: float = Field(25.0, gt=0, le=10_000, description="Factor on the delta.")


def _config(settings: WaveftSettings, resolve: ResolveTargets) -> Any:
    return peft_config("WaveFTConfig", settings, resolve, n_frequency=settings.coefficients, scaling=settings.scale)


METHOD = Method(
    name="waveft",
    title="WaveFT",
    source="Bilican et al. 2025, arXiv 2505.12532",
    settings=WaveftSettings,
    recommended={
        "denoiser": Recommendation(1e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(3e-3),
        "language_model": Recommendation(0.001, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.003),
    },
    peft_config=_config,
    mergeable=True,
    merge_tolerance=5e-5,  # few and large numbers: the live sum cancels more than the merged weight
    live_weight=BETWEEN,
)
