"""Prefix tuning: learned keys and values before those of every attention module, made by a small network.

K ← [P_k; K], V ← [P_v; V] with [P_k, P_v] = MLP(P); the network is folded away when saved. Source: Li and Liang 2021,
arXiv 2101.00190, equations 2 and 3. On a UNet every attention module has its own width, so each has its own network.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._prefix import FOLD_PREFIX, LIVE_WEIGHT, STARTS_CHANGED, prefix_config


class PrefixTuningSettings(MethodSettings):
    """Settings of prefix tuning."""

    length: int = Field(10, ge=1, le=512, description="Number of learned keys and values in each attention module.")
    hidden: int = Field(64, ge=1, le=4096, description="Width of the network that makes them in training.")
    targets: tuple[str, ...] = Field(
        ("attention_block",), min_length=1, description="Which attention: attention_block, or literal module names."
    )


def _config(settings: PrefixTuningSettings, resolve: ResolveTargets) -> Any:
    return prefix_config(resolve(settings.targets), settings.length, settings.hidden)


METHOD = Method(
    name="prefix_tuning",
    title="Prefix tuning",
    source="Li and Liang 2021, arXiv 2101.00190, eq. 2–3",
    settings=PrefixTuningSettings,
    recommended={
        "denoiser": Recommendation(3e-3),
        "text_encoder": Recommendation(1e-4),
        "language_model": Recommendation(1e-3, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=False,
    live_weight=LIVE_WEIGHT,
    needs_studio=True,
    starts_changed=STARTS_CHANGED,
    fold=FOLD_PREFIX,
)
