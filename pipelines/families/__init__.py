"""Families of base models, one file each."""

import functools
import sys
from collections.abc import Mapping

from pipelines.families._family import Family, LoadedBase, PictureBase, TextBase
from trainers.registry import discover

__all__ = ["Family", "LoadedBase", "PictureBase", "TextBase", "families"]


@functools.cache
def families() -> Mapping[str, Family]:
    """Return every family by name."""
    return discover(sys.modules[__name__], "FAMILY")
