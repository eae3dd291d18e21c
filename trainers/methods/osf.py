"""OSF: the smaller singular directions of a weight are trained, orthogonally to the larger ones, which stay.

W = U S Vᵀ; the first k directions are frozen, the others learn in their complement. Source: Nayak et al. 2025, arXiv
2504.07097, section 3.
"""

from typing import Any

from pydantic import Field

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, TargetSettings, peft_config


class OsfSettings(TargetSettings):
    """Settings of OSF."""

    kept_share: float = Field(0.5, gt=0, lt=1, description="Share of each weight's directions that stay as they are.")


def _config(settings: OsfSettings, resolve: ResolveTargets) -> Any:
    return peft_config("OSFConfig", settings, resolve, effective_rank=settings.kept_share)


METHOD = Method(
    name="osf",
    title="OSF",
    source="Nayak et al. 2025, arXiv 2504.07097, section 3",
    settings=OsfSettings,
    recommended={
        "denoiser": Recommendation(3e-4, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(3e-4),
        "language_model": Recommendation(5e-6, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.001),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
