"""OFT: the input of a layer is rotated in blocks, which keeps the angles between its neurons.

y = W R x, R block-diagonal and orthogonal by the Cayley map of skew-symmetric Q. Linear layers only: with larger
convolution kernels PEFT sums overlapping patches. Source: Qiu et al. 2023, arXiv 2306.07280.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class OftSettings(TargetSettings):
    """Settings of OFT."""

    block_size: int = Field(
        8, ge=2, le=1024, description="Rows and columns of a block; it must divide the layers' widths."
    )
    exact: bool = Field(True, description="Invert exactly for the Cayley map, not by a short series.")


def _config(settings: OftSettings, resolve: ResolveTargets) -> Any:
    return peft_config(
        "OFTConfig", settings, resolve, r=0, oft_block_size=settings.block_size, use_cayley_neumann=not settings.exact
    )


METHOD = Method(
    name="oft",
    title="OFT",
    source="Qiu et al. 2023, arXiv 2306.07280",
    settings=OftSettings,
    recommended={
        "denoiser": Recommendation(3e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-3),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
