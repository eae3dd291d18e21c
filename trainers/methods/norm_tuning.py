"""Norm tuning: only the scales and shifts of the normalisation layers are trained.

y = (γ + Δγ) ∘ x̂ + β + Δβ. Source: Qi et al. 2022, arXiv 2211.08567; Zhao et al. 2023, arXiv 2312.11420.
"""

from typing import Any

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._own import delta_config


class NormTuningSettings(MethodSettings):
    """Norm tuning has no settings of its own."""


def _config(settings: NormTuningSettings, resolve: ResolveTargets) -> Any:
    return delta_config(resolve(("norm",)), ("weight", "bias"))


METHOD = Method(
    name="norm_tuning",
    title="Norm tuning",
    source="Qi et al. 2022, arXiv 2211.08567",
    settings=NormTuningSettings,
    recommended={
        "denoiser": Recommendation(1e-2),
        "text_encoder": Recommendation(3e-3),
        "language_model": Recommendation(1e-3, pocket_rate=0.05),
    },
    peft_config=_config,
    mergeable=True,
    needs_studio=True,
)
