"""P-tuning v2: learned keys and values before those of every attention module, learned as they are.

K ← [P_k; K], V ← [P_v; V] in every layer, with no network behind them. Source: Liu et al. 2021, arXiv
2110.07602, section 3.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._prefix import LIVE_WEIGHT, STARTS_CHANGED, prefix_config


class PTuningV2Settings(MethodSettings):
    """Settings of P-tuning v2."""

    length: int = Field(16, ge=1, le=512, description="Number of learned keys and values in each attention module.")
    targets: tuple[str, ...] = Field(
        ("attention_block",), min_length=1, description="Which attention: attention_block, or literal module names."
    )


def _config(settings: PTuningV2Settings, resolve: ResolveTargets) -> Any:
    return prefix_config(resolve(settings.targets), settings.length, 0)


METHOD = Method(
    name="p_tuning_v2",
    title="P-tuning v2",
    source="Liu et al. 2021, arXiv 2110.07602",
    settings=PTuningV2Settings,
    recommended={
        "denoiser": Recommendation(0.3),
        "text_encoder": Recommendation(3e-4),
        "language_model": Recommendation(5e-3, pocket_rate=0.02),
    },
    peft_config=_config,
    mergeable=False,
    live_weight=LIVE_WEIGHT,
    needs_studio=True,
    starts_changed=STARTS_CHANGED,
)
