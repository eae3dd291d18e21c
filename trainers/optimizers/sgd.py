"""SGD with momentum: w ← w − η m with m ← 0.9 m + g + λ w. Source: Polyak 1964; Sutskever et al. 2013, section 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trainers.optimizers._optimizer import Optimizer

if TYPE_CHECKING:
    import torch


def _build(groups: Sequence[dict[str, Any]], weight_decay: float) -> torch.optim.Optimizer:
    import torch

    return torch.optim.SGD(list(groups), momentum=0.9, weight_decay=weight_decay)


OPTIMIZER = Optimizer("sgd", "SGD with momentum", "Sutskever et al. 2013, section 2", _build)
