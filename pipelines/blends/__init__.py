"""Ways to combine adapters, one file each: pure functions from deltas and weights to a delta."""

import functools
import sys
from collections.abc import Mapping

from pipelines.blends._blend import Blend
from trainers.registry import discover, find

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
    return find("Blend", name, blends())
