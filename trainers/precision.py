"""The arithmetic of a step: whatever takes a gradient through a base does it in here, a run, a preflight or a blend."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from trainers.protocols import Learnable

_FIRST_SCALE = 2.0**14
_GOOD_STEPS = 200
HALVES = (torch.bfloat16, torch.float16)
"""Number formats of frozen weights in which a base multiplies while adapters, losses and norms stay in float32."""


def arithmetic_of(role: Learnable) -> AbstractContextManager[object]:
    """Return the block in which a base meets float32 inputs and adapters: autocast to its own format, if that is half.

    It follows the base alone, so a preflight, a search or a measure cannot choose another than the run.
    """
    return torch.autocast(role.device.type, dtype=role.dtype, enabled=role.dtype in HALVES)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Let a GPU compute the same bits for the same step every time; a CPU does so anyway.

    Attention's backward and convolutions otherwise sum in whatever order their threads finish, and a resumed run would
    end elsewhere than one that was never stopped.

    Raises:
        RuntimeError: an operation in the block has no such kernel; `is_unrepeatable` knows the error.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it torch refuses to multiply in this mode
    before = torch.get_deterministic_debug_mode()
    filling = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)  # with warn_only attention keeps its other kernel
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, and finds only what reads too early
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        torch.utils.deterministic.fill_uninitialized_memory = filling


def is_unrepeatable(error: RuntimeError) -> bool:
    """Return whether a block stopped because an operation in it cannot be repeated bit for bit."""
    return "deterministic" in str(error)


@dataclass
class LossScale:
    """What a loss is multiplied by before its gradients are taken, and these divided by afterwards.

    float16 ends at 6e-8, and gradients are smaller. A step whose gradients overflow is left out and halves the scale;
    many good ones in a row double it. Micikevicius et al. 2017, arXiv 1710.03740, section 3.2. It is a power of two, so
    multiplying and dividing lose nothing.
    """

    scale: float = 1.0
    """1 for number formats that need none; it then never changes."""
    good_steps: int = 0
    """Steps in a row without an overflow, since the last change."""

    @classmethod
    def of(cls, role: Learnable) -> "LossScale":
        """Return the scale that a training on a base begins with."""
        return cls(_FIRST_SCALE if role.dtype == torch.float16 else 1.0)

    def divide(self, parameters: Sequence[nn.Parameter]) -> None:
        """Divide the gradients by the scale."""
        if self.scale != 1.0:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad /= self.scale

    def after_step(self, *, usable: bool) -> None:
        """Follow what became of a step."""
        if self.scale == 1.0:
            return
        self.good_steps = self.good_steps + 1 if usable else 0
        if not usable:
            self.scale = max(self.scale / 2, 2.0)
        elif self.good_steps == _GOOD_STEPS:
            self.scale, self.good_steps = self.scale * 2, 0
