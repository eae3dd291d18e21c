"""What an optimizer's file states."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Optimizer:
    """One optimizer, as facts. Its state must be tensors and numbers, so that a checkpoint can hold it."""

    name: str
    title: str
    source: str
    """Paper and equation."""
    build: "Callable[[Sequence[dict[str, Any]], float], torch.optim.Optimizer]"
    """(parameter groups with their learning rates, weight decay) -> the optimizer. Import torch inside."""
