"""Constant: the learning rate stays as it is."""

from trainers.lr_schedulers._lr_scheduler import LrScheduler


def _factor(_: float) -> float:
    return 1.0


LR_SCHEDULER = LrScheduler("constant", "Constant", _factor)
