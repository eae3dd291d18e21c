"""RoAd: pairs of outputs are rotated and stretched in their plane.

y = R W x with 2 x 2 blocks α (cos θ, −sin θ; sin θ, cos θ). Source: Liao and Monz 2024, arXiv 2409.00119.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class RoadSettings(TargetSettings):
    """Settings of RoAd."""

    group_size: int = Field(8, ge=2, le=1024, description="Outputs are paired within groups of this even size.")


def _config(settings: RoadSettings, resolve: ResolveTargets) -> Any:
    return peft_config("RoadConfig", settings, resolve, variant="road_1", group_size=settings.group_size)


METHOD = Method(
    name="road",
    title="RoAd",
    source="Liao and Monz 2024, arXiv 2409.00119",
    settings=RoadSettings,
    recommended={
        "denoiser": Recommendation(1.5e-2, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-3),
        "language_model": Recommendation(0.002, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.05),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
