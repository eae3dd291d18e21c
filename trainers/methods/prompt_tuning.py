"""Prompt tuning: a few learned tokens, read like words; everything else stays frozen.

[P; E(x)], P of p tokens. Source: Lester et al. 2021, arXiv 2104.08691, section 2. On a text encoder the tokens stand
behind the start token; on a UNet they are appended to the context of the cross-attention; a language model reads them
first.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._prompt import LIVE_WEIGHT, STARTS_CHANGED, prompt_config


class PromptTuningSettings(MethodSettings):
    """Settings of prompt tuning."""

    length: int = Field(8, ge=1, le=64, description="Number of learned tokens; they take room from the words.")


def _config(settings: PromptTuningSettings, resolve: ResolveTargets) -> Any:
    return prompt_config(settings.length)


METHOD = Method(
    name="prompt_tuning",
    title="Prompt tuning",
    source="Lester et al. 2021, arXiv 2104.08691",
    settings=PromptTuningSettings,
    recommended={
        "denoiser": Recommendation(0.3),
        "text_encoder": Recommendation(3e-4),
        "language_model": Recommendation(3e-2, pocket_rate=0.1),
    },
    peft_config=_config,
    mergeable=False,
    live_weight=LIVE_WEIGHT,
    needs_studio=True,
    starts_changed=STARTS_CHANGED,
)
