"""Cosine: slow, then fast, then slow, ½ (1 + cos π t). Source: Loshchilov and Hutter 2016, arXiv 1608.03983, eq. 5."""

import math

from trainers.lr_schedulers._lr_scheduler import LrScheduler


def _factor(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


LR_SCHEDULER = LrScheduler("cosine", "Cosine", _factor)
