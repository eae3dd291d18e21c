"""Partial fine-tuning: some layers are trained in full, the last blocks or those called by name; the rest is frozen.

y = f(x; W + ΔW) for the chosen W only. The base itself stays as it is and the file holds the delta.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._own import delta_config


class PartialSettings(MethodSettings):
    """Settings of training some layers."""

    last_blocks: int = Field(1, ge=0, le=1000, description="How many of the last transformer blocks are trained whole.")
    targets: tuple[str, ...] = Field(
        (), description="More layers: attention, feed_forward, convolution, norm, or literal module names."
    )


def _config(settings: PartialSettings, resolve: ResolveTargets) -> Any:
    blocks = resolve(("block",))[-settings.last_blocks :] if settings.last_blocks else ()
    inside = tuple(f"{block}." for block in blocks)
    names = [path for path in resolve(("weighted",)) if path.startswith(inside)] if inside else []
    return delta_config([*names, *resolve(settings.targets)], ("weight", "bias"))


METHOD = Method(
    name="partial",
    title="Partial fine-tuning",
    source="gradient descent on chosen weights",
    settings=PartialSettings,
    recommended={
        "denoiser": Recommendation(1e-3, {"last_blocks": 2}),
        "text_encoder": Recommendation(5e-4),
        "language_model": Recommendation(5e-5, pocket_rate=0.006),
    },
    peft_config=_config,
    mergeable=True,
    needs_studio=True,
)
