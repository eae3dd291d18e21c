"""What the methods share that PEFT's own tuners serve."""

import warnings
from typing import Any

from pydantic import Field

from trainers.method import MethodSettings, ResolveTargets

DENOISER_TARGETS = ("attention", "feed_forward")
LANGUAGE_TARGETS = ("all-linear",)


class TargetSettings(MethodSettings):
    """Which layers are adapted."""

    targets: tuple[str, ...] = Field(
        ("attention",),
        min_length=1,
        description="Layers that are adapted: attention, feed_forward, convolution, or literal module names.",
    )


class RankSettings(TargetSettings):
    """Which layers are adapted, and by how much."""

    rank: int = Field(8, ge=1, le=1024, description="Rank. More learns more and stores more; 4 to 64 is usual.")


def peft_config(class_name: str, settings: TargetSettings, resolve: ResolveTargets, **fields: Any) -> Any:
    """Build a config of PEFT by its class's name. PEFT is imported late: listing the methods needs none of it."""
    import peft

    with warnings.catch_warnings():  # PEFT warns of random matrices that are drawn again, which is meant
        warnings.simplefilter("ignore")
        return getattr(peft, class_name)(target_modules=list(resolve(settings.targets)), **fields)
