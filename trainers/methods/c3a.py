"""C3A: the delta is a circular convolution, in blocks.

ΔW x = Σ over blocks of w ⋆ x, by Fourier transforms. Source: Chen et al. 2024, arXiv 2407.19342.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class C3aSettings(TargetSettings):
    """Settings of C3A."""

    block_size: int = Field(8, ge=1, le=4096, description="Length of a block; it must divide the layers' widths.")


def _config(settings: C3aSettings, resolve: ResolveTargets) -> Any:
    return peft_config("C3AConfig", settings, resolve, block_size=settings.block_size, init_weights=True)


METHOD = Method(
    name="c3a",
    title="C3A",
    source="Chen et al. 2024, arXiv 2407.19342",
    settings=C3aSettings,
    recommended={
        "denoiser": Recommendation(0.1, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(0.3),
        "language_model": Recommendation(0.1, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.5),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
