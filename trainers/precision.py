"""The arithmetic of a step: whatever takes a gradient through a base does it in here, a run, a forecast or a blend."""

from contextlib import AbstractContextManager

import torch

from trainers.roles import Learnable

HALVES = (torch.bfloat16,)
"""Number formats of frozen weights in which a base multiplies while adapters, losses and norms stay in float32."""


def arithmetic_of(role: Learnable) -> AbstractContextManager[object]:
    """Return the block in which a base meets float32 inputs and adapters: autocast to its own format, if that is half.

    It follows the base alone, so a forecast, a search or a measure cannot choose another than the run.
    """
    return torch.autocast(role.device.type, dtype=role.dtype, enabled=role.dtype in HALVES)
