"""P-tuning: learned tokens that a small network makes while it learns, which keeps them in step with each other.

P = E₀ + MLP(biLSTM(E)) or E₀ + MLP(E), with a ReLU between two linear layers; only P is saved. Source: Liu et al. 2021,
arXiv 2103.10385, section 3; E₀, the tokens it begins with, is an addition.
"""

from typing import Any, Literal

from pydantic import Field

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._prompt import FOLD_PROMPT, LIVE_WEIGHT, STARTS_CHANGED, prompt_config


class PTuningSettings(MethodSettings):
    """Settings of P-tuning."""

    length: int = Field(8, ge=1, le=64, description="Number of learned tokens; they take room from the words.")
    encoder: Literal["lstm", "mlp"] = Field("lstm", description="The network that makes them.")
    hidden: int = Field(64, ge=1, le=4096, description="Width of that network.")


def _config(settings: PTuningSettings, resolve: ResolveTargets) -> Any:
    return prompt_config(settings.length, settings.encoder, settings.hidden)


METHOD = Method(
    name="p_tuning",
    title="P-tuning",
    source="Liu et al. 2021, arXiv 2103.10385",
    settings=PTuningSettings,
    recommended={
        "denoiser": Recommendation(4e-2),
        "text_encoder": Recommendation(3e-5),
        "language_model": Recommendation(3e-3, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=False,
    live_weight=LIVE_WEIGHT,
    needs_studio=True,
    starts_changed=STARTS_CHANGED,
    fold=FOLD_PROMPT,
)
