"""The arithmetic of a step: whatever takes a gradient through a base does it in here, a run, a forecast or a blend."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from trainers.roles import Learnable

HALVES = (torch.bfloat16,)
"""Number formats of frozen weights in which a base multiplies while adapters, losses and norms stay in float32."""


def arithmetic_of(role: Learnable) -> AbstractContextManager[object]:
    """Return the block in which a base meets float32 inputs and adapters: autocast to its own format, if that is half.

    It follows the base alone, so a forecast, a search or a measure cannot choose another than the run.
    """
    return torch.autocast(role.device.type, dtype=role.dtype, enabled=role.dtype in HALVES)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Let a GPU compute the same bits for the same step every time; a CPU does so anyway.

    Attention's backward and convolutions otherwise sum in whatever order their threads finish, and a resumed run would
    end elsewhere than one that was never stopped.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it torch refuses to multiply in this mode
    before = torch.get_deterministic_debug_mode()
    filling = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, and finds only what reads too early
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        torch.utils.deterministic.fill_uninitialized_memory = filling
