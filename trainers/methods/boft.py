"""BOFT: a rotation made of sparse butterfly factors, so that few numbers mix all inputs.

y = W R₁ … R_m x. Source: Liu et al. 2023, arXiv 2311.06243.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class BoftSettings(TargetSettings):
    """Settings of BOFT."""

    block_size: int = Field(
        4, ge=2, le=256, description="Rows and columns of a block; it must divide the layers' widths."
    )
    factors: int = Field(1, ge=1, le=8, description="Number of butterfly factors.")


def _config(settings: BoftSettings, resolve: ResolveTargets) -> Any:
    return peft_config(
        "BOFTConfig", settings, resolve, boft_block_size=settings.block_size, boft_n_butterfly_factor=settings.factors
    )


METHOD = Method(
    name="boft",
    title="BOFT",
    source="Liu et al. 2023, arXiv 2311.06243",
    settings=BoftSettings,
    recommended={
        "denoiser": Recommendation(3e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(1e-2),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
