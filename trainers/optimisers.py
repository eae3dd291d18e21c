"""Optimisers and learning-rate schedules."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from trainers.config import TrainingConfig


def build_optimiser(
    config: TrainingConfig, parameters: Mapping[str, Mapping[float, Sequence[nn.Parameter]]]
) -> torch.optim.Optimizer:
    """Build the optimiser over the parameters by part and by the factor on the part's learning rate.

    Every group has its rate at the schedule's top as ``base_rate``; one group of each part is its ``main``.
    """
    groups = [
        {
            "params": list(own),
            "lr": config.step_size(part) * factor,
            "name": part,
            "main": factor == (1.0 if 1.0 in rated else min(rated)),
        }
        for part, rated in parameters.items()
        for factor, own in rated.items()
    ]
    for group in groups:
        group["base_rate"] = group["lr"]
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, weight_decay=config.weight_decay)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, betas=(0.9, 0.99), fused=True)


def rate_factor(config: TrainingConfig, step: int) -> float:
    """Return the factor, 0 to 1, on the learning rates for a step counted from 0. Pure, so resuming needs no state."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    if config.schedule == "linear":
        return 1.0 - progress
    return 0.5 * (1.0 + math.cos(math.pi * progress))
