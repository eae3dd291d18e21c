"""AdamW: steps of the size of the learning rate along the mean gradient, and weight decay apart from it.

m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², w ← w − η (m̂ / (√v̂ + ε) + λ w), with β₁ = 0.9 and β₂ = 0.99: training
an adapter takes hundreds of steps, so a memory of a thousand would never be full. Source: Loshchilov and Hutter 2017,
arXiv 1711.05101, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trainers.optimizers._optimizer import Optimizer

if TYPE_CHECKING:
    import torch


def _build(groups: Sequence[dict[str, Any]], weight_decay: float) -> torch.optim.Optimizer:
    import torch

    return torch.optim.AdamW(list(groups), weight_decay=weight_decay, betas=(0.9, 0.99), fused=True)


OPTIMIZER = Optimizer("adamw", "AdamW", "Loshchilov and Hutter 2017, arXiv 1711.05101, algorithm 2", _build)
