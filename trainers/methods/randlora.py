"""RandLoRA: a full-rank delta as a sum of frozen random low-rank matrices, each with learned scales.

W + s Σᵢ Bᵢ Λᵢ Aᵢ Γᵢ. The random bases are drawn from a key and are not in the file. Source: Albert et al. 2025, arXiv
2502.00987, equation 2.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class RandloraSettings(RankSettings):
    """Settings of RandLoRA."""

    rank: int = Field(
        32, ge=1, le=1024, description="Rank of each random base; a lower one means more that is trained."
    )
    scale: float = Field(20.0, gt=0, le=1000, description="Factor on the delta.")


def _config(settings: RandloraSettings, resolve: ResolveTargets) -> Any:
    return peft_config(
        "RandLoraConfig",
        settings,
        resolve,
        r=settings.rank,
        randlora_alpha=settings.rank * settings.scale,
        save_projection=False,
    )


METHOD = Method(
    name="randlora",
    title="RandLoRA",
    source="Albert et al. 2025, arXiv 2502.00987, eq. 2",
    settings=RandloraSettings,
    recommended={
        "denoiser": Recommendation(1e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(1e-3),
        "language_model": Recommendation(1e-4, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.0006),
    },
    peft_config=_config,
    mergeable=True,
    live_weight=BETWEEN,
)
