"""Tabs of the app, one file each."""

import functools
import sys
from collections.abc import Mapping

from studio.tabs._tab import Tab
from trainers.registry import discover

__all__ = ["Tab", "tabs"]


@functools.cache
def tabs() -> Mapping[str, Tab]:
    """Return every tab by name, in the order in which they stand."""
    found = discover(sys.modules[__name__], "TAB")
    return dict(sorted(found.items(), key=lambda item: item[1].position))
