"""What a learning-rate schedule's file states."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class LrScheduler:
    """One schedule, as facts."""

    name: str
    title: str
    factor: Callable[[float], float]
    """(share of the steps after the warm-up that are done, 0 to 1) -> factor on the learning rates, 0 to 1.

    Pure, so that a resumed run needs no state of it.
    """
