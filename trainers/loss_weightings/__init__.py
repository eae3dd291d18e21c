"""How much the squared error counts at each noise level, one file each."""

import functools
import sys
from collections.abc import Mapping

from trainers.loss_weightings._loss_weighting import LossWeighting, Weigh, WeightingSettings
from trainers.registry import discover, find

__all__ = ["LossWeighting", "Weigh", "WeightingSettings", "find_loss_weighting", "loss_weightings"]


@functools.cache
def loss_weightings() -> Mapping[str, LossWeighting]:
    """Return every loss weighting by name."""
    return discover(sys.modules[__name__], "LOSS_WEIGHTING")


def find_loss_weighting(name: str) -> LossWeighting:
    """Return the loss weighting of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    return find("Loss weighting", name, loss_weightings())
