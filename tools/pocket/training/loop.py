"""The time-boxed training loop: progress, learning rate, averaged weights, log."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import platform
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

WARM_UP_SHARE = 0.03
# How many steps a GPU may be behind; without a bound the clock would run out long before the work.
STEPS_IN_FLIGHT = 16
REPORT_SECONDS = 10.0


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch on every device."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def pick_device(name: str | None) -> torch.device:
    """The named device, or CUDA where there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def hardware(device: torch.device) -> str:
    """The device in a few words, for the model card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads, {platform.machine()}"


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where there is a GPU; float32 on a CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


class Budget:
    """How far a training is, from 0 to 1: by steps if their number is given, else by the clock.

    The clock starts with the first step, so that compilation counts. A run that is limited by the clock
    is repeated exactly by giving the number of steps that it ended with, which the card records.
    """

    def __init__(self, minutes: float, steps: int | None) -> None:
        self.seconds = minutes * 60
        self.limit = steps
        self.step = 0
        self.started = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first step."""
        return time.monotonic() - self.started

    def __iter__(self) -> Iterator[float]:
        """Yields the progress before each step."""
        self.started = time.monotonic()
        progress = 0.0
        while progress < 1:
            yield progress
            self.step += 1
            if torch.cuda.is_initialized() and self.step % STEPS_IN_FLIGHT == 0:
                torch.cuda.synchronize()
            progress = self.step / self.limit if self.limit else self.elapsed_s / self.seconds


def set_rate(optimizer: torch.optim.Optimizer, peak: float, progress: float) -> None:
    """A short linear warm-up, then a cosine down to a hundredth of the peak."""
    warm = min(1.0, (progress + 1e-3) / WARM_UP_SHARE)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    for group in optimizer.param_groups:
        group["lr"].fill_(peak * warm * (0.01 + 0.99 * cosine))


def make_optimizer(parameters: Iterable[nn.Parameter], decay: float) -> torch.optim.AdamW:
    """AdamW, fused; matrices and kernels decay, vectors (biases, norms) do not.

    The rate is a tensor on the device, so that a recorded step sees its changes.
    """
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    device = parameters[0].device
    rate = torch.zeros((), device=device)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), fused=True, capturable=device.type == "cuda")


class Average:
    """An exponential moving average of parameters, which is what a training saves."""

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float = 0.999) -> None:
        self.parameters = list(parameters)
        self.values = [parameter.detach().clone() for parameter in self.parameters]
        self.decay = decay
        self.count = 0

    @torch.no_grad()
    def update(self) -> None:
        """Moves the average towards the parameters; quicker at first, when they are still far."""
        self.count += 1
        share = 1 - min(self.decay, (1 + self.count) / (10 + self.count))
        torch._foreach_lerp_(self.values, self.parameters, share)

    @torch.no_grad()
    def apply(self) -> None:
        """Puts the average in the parameters' place, for good."""
        for parameter, value in zip(self.parameters, self.values, strict=True):
            parameter.copy_(value)


class Log:
    """Prints a line of figures every ten seconds, averaged since the last line."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.sums: dict[str, torch.Tensor] = {}
        self.count = 0
        self.reported = time.monotonic()

    def add(self, **values: torch.Tensor) -> None:
        """Adds one step's figures; stays on the device until the line is printed."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()
        self.count += 1
        if time.monotonic() - self.reported > REPORT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Prints the line now."""
        if not self.count:
            return
        figures = "  ".join(f"{name} {float(v) / self.count:.4f}" for name, v in self.sums.items())
        if not all(math.isfinite(float(v)) for v in self.sums.values()):
            raise FloatingPointError(f"a loss is not finite at step {self.budget.step}: {figures}")
        print(f"{self.budget.elapsed_s:6.0f} s  step {self.budget.step}  {figures}", flush=True)
        self.sums, self.count, self.reported = {}, 0, time.monotonic()


def file_hash(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_record(folder: Path, device: torch.device, budget: Budget, name: str = "training", **facts: Any) -> None:
    """`<name>.json`: what a model card repeats about the training."""
    record = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(device),
        "torch": torch.__version__,
        "steps": budget.step,
        "seconds": round(budget.elapsed_s),
        **facts,
    }
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
