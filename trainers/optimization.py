"""The optimizer of a run over the parameters of its parts, and the learning rate of each step."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from trainers.config import TrainingConfig
from trainers.lr_schedulers import find_lr_scheduler
from trainers.optimizers import find_optimizer


def build_optimizer(
    config: TrainingConfig, parameters: Mapping[str, Mapping[float, Sequence[nn.Parameter]]]
) -> torch.optim.Optimizer:
    """Build the optimizer over the parameters by part and by the factor on the part's learning rate.

    Every group has its rate at the schedule's top as ``base_rate``; one group of each part is its ``main``.
    """
    groups = [
        {
            "params": list(own),
            "lr": config.learning_rate_of(part) * factor,
            "name": part,
            "main": factor == (1.0 if 1.0 in rated else min(rated)),
        }
        for part, rated in parameters.items()
        for factor, own in rated.items()
    ]
    for group in groups:
        group["base_rate"] = group["lr"]
    return find_optimizer(config.optimizer).build(groups, config.weight_decay)


def learning_rate_factor(config: TrainingConfig, step: int) -> float:
    """Return the factor, 0 to 1, on the learning rates for a step counted from 0. Pure, so resuming needs no state."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return find_lr_scheduler(config.lr_scheduler).factor(progress)
