"""HRA: the weight is turned by a chain of Householder reflections, which keeps the angles between its neurons.

y = W H₁ … H_r x, H = I − 2 u uᵀ / ‖u‖². Source: Yuan et al. 2024, arXiv 2405.17484.
"""

from typing import Any

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config


class HraSettings(RankSettings):
    """Settings of HRA."""


def _config(settings: HraSettings, resolve: ResolveTargets) -> Any:
    return peft_config("HRAConfig", settings, resolve, r=settings.rank)


METHOD = Method(
    name="hra",
    title="HRA",
    source="Yuan et al. 2024, arXiv 2405.17484",
    settings=HraSettings,
    recommended={
        "denoiser": Recommendation(1e-2, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-3),
        "language_model": Recommendation(0.0005, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.03),
    },
    peft_config=_config,
    mergeable=True,
    transposed=False,
    live_weight=BETWEEN,
)
