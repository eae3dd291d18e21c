"""How the learning rate falls after the warm-up, one file each."""

import functools
import sys
from collections.abc import Mapping

from trainers.lr_schedulers._lr_scheduler import LrScheduler
from trainers.registry import discover, find

__all__ = ["LrScheduler", "find_lr_scheduler", "lr_schedulers"]


@functools.cache
def lr_schedulers() -> Mapping[str, LrScheduler]:
    """Return every schedule by name."""
    return discover(sys.modules[__name__], "LR_SCHEDULER")


def find_lr_scheduler(name: str) -> LrScheduler:
    """Return the schedule of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    return find("Learning-rate schedule", name, lr_schedulers())
