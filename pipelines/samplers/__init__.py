"""Samplers: how noise becomes latents step by step, one file each. All are deterministic: the noise is the seed's."""

import functools
import sys
from collections.abc import Mapping
from typing import Any

from pipelines.samplers._sampler import Sampler
from trainers.errors import UserError
from trainers.registry import discover, find

__all__ = ["AUTO", "Sampler", "build_sampler", "find_sampler", "sampler_names", "samplers", "samplers_for"]

AUTO = "auto"
"""The sampler that the base's own files name."""


@functools.cache
def samplers() -> Mapping[str, Sampler]:
    """Return every sampler by name."""
    return discover(sys.modules[__name__], "SAMPLER")


def sampler_names() -> list[str]:
    """Return what can be chosen, the base's own first."""
    return [AUTO, *samplers()]


def find_sampler(name: str) -> Sampler:
    """Return the sampler of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    return find("Sampler", name, samplers(), f"{AUTO!r} takes the base's own.")


def samplers_for(prediction: str) -> list[str]:
    """Return what can be chosen for a base that predicts ``epsilon``, ``v_prediction`` or ``flow``."""
    return [AUTO, *(name for name, sampler in samplers().items() if prediction in sampler.predictions)]


def build_sampler(name: str, own: Any, prediction: str) -> Any:
    """Return the scheduler of diffusers that a base is to draw with.

    Args:
        name: of a sampler, or ``auto``.
        own: the base's own scheduler; a chosen one takes its noise levels from it.
        prediction: what the base predicts.

    Raises:
        UserError: there is no such sampler, or it does not suit what the base predicts.
    """
    if name == AUTO:
        return own
    sampler = find_sampler(name)
    if prediction not in sampler.predictions:
        raise UserError(
            f"The sampler {name!r} does not suit a base that predicts {prediction!r}. "
            f"These do: {', '.join(samplers_for(prediction))}."
        )
    return sampler.build(own.config)
