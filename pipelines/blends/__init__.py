"""Ways to combine adapters, one file each: pure functions from deltas and weights to a delta."""

import functools
import sys
from collections.abc import Mapping

from pipelines.blends._blend import Blend
from trainers.errors import unknown
from trainers.registry import discover

__all__ = ["Blend", "blends", "find_blend"]


@functools.cache
def blends() -> Mapping[str, Blend]:
    """Return every blend by name."""
    return discover(sys.modules[__name__], "BLEND")


def find_blend(name: str) -> Blend:
    """Return the blend of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    if name not in blends():
        raise unknown("Blend", name, blends())
    return blends()[name]
