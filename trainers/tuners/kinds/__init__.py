"""Kinds of tuner layers of our own, one file each; the methods with the same or a similar name use them."""

import functools
import sys
from collections.abc import Mapping

from trainers.registry import discover
from trainers.tuners.sidecar import SidecarKind, register


@functools.cache
def register_kinds() -> Mapping[str, SidecarKind]:
    """Make PEFT know every kind, so that it can read adapters of them; return the kinds by name."""
    kinds = discover(sys.modules[__name__], "KIND")
    for kind in kinds.values():
        register(kind)
    return kinds
