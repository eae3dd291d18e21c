"""Linear: the learning rate falls evenly to zero, 1 − t."""

from trainers.lr_schedulers._lr_scheduler import LrScheduler


def _factor(progress: float) -> float:
    return 1.0 - progress


LR_SCHEDULER = LrScheduler("linear", "Linear", _factor)
