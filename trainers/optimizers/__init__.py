"""Optimizers, one file each."""

import functools
import sys
from collections.abc import Mapping

from trainers.optimizers._optimizer import Optimizer
from trainers.registry import discover, find

__all__ = ["Optimizer", "find_optimizer", "optimizers"]


@functools.cache
def optimizers() -> Mapping[str, Optimizer]:
    """Return every optimizer by name."""
    return discover(sys.modules[__name__], "OPTIMIZER")


def find_optimizer(name: str) -> Optimizer:
    """Return the optimizer of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    return find("Optimizer", name, optimizers())
