"""What a training costs, measured on its first steps: seconds, memory, and the disk that it will fill."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.resources import available_memory_bytes, free_disk_bytes, peak_memory_since_reset_bytes, reset_peak_memory
from trainers.wording import count_of

if TYPE_CHECKING:
    from trainers.loop import Training

_LONG_STEP_SECONDS = 2.0


@dataclass
class MemoryMeter:
    """The most memory that a piece of work takes beside what its process holds already."""

    device: Any
    """A torch device."""
    _before: int = 0

    def __post_init__(self) -> None:
        import torch

        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
        else:
            self._before = reset_peak_memory()

    def peak_bytes(self) -> int:
        """Return the peak so far."""
        import torch

        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_reserved(self.device)) - self._before
        return max(0, peak_memory_since_reset_bytes() - self._before)

    def free_bytes(self) -> int:
        """Return what is free on the device now, with what this process could give back."""
        import torch

        if self.device.type == "cuda":
            free = int(torch.cuda.mem_get_info(self.device)[0])
            return free + int(torch.cuda.memory_reserved(self.device))
        return available_memory_bytes()


def seconds_per_step(training: "Training") -> float:
    """Do one real step, and a second one if the first was quick, because the first also warms up.

    Raises:
        UserError: the loss is not finite again and again.
    """
    from trainers.loop import train

    steps = train(training)
    best = float("inf")
    for _ in range(min(2, training.config.steps)):
        started = time.perf_counter()
        next(steps)
        _wait(training.role.device)
        best = min(best, time.perf_counter() - started)
        if best > _LONG_STEP_SECONDS:
            break
    steps.close()
    return best


def disk_bytes(training: "Training", adapter_bytes: int) -> int:
    """Return what checkpoints and the adapter fill at most: one checkpoint more than are kept, while it is written."""
    from trainers.loop import snapshot

    groups = snapshot(training).groups
    one = sum(tensor.numel() * tensor.element_size() for group in groups.values() for tensor in group.values())
    return one * (training.config.keep_checkpoints + 1) + adapter_bytes


def cost_of(training: "Training", meter: MemoryMeter, adapter_bytes: int, folder: Path) -> "Cost":
    """Measure a training that has just begun; its weights are changed by the steps.

    Raises:
        UserError: the loss is not finite again and again.
    """
    seconds = seconds_per_step(training)
    return Cost(
        seconds_per_step=seconds,
        steps=training.config.steps,
        memory_bytes=meter.peak_bytes(),
        free_memory_bytes=meter.free_bytes(),
        on_gpu=meter.device.type == "cuda",
        disk_bytes=disk_bytes(training, adapter_bytes),
        free_disk_bytes=free_disk_bytes(folder),
    )


@dataclass(frozen=True)
class Cost:
    """What was measured."""

    seconds_per_step: float
    steps: int
    memory_bytes: int
    free_memory_bytes: int
    on_gpu: bool
    disk_bytes: int
    free_disk_bytes: int

    def facts(self) -> Mapping[str, str]:
        """Return label -> finding."""
        where = "on the GPU" if self.on_gpu else "beside the libraries"
        return {
            "time": f"{duration(self.seconds_per_step * self.steps)} for {count_of(self.steps, 'step')} of "
            f"{self.seconds_per_step:.3g} s, without samples",
            "memory": f"{size(self.memory_bytes)} {where} at the peak of a step; {size(self.free_memory_bytes)} free",
            "disk": f"{size(self.disk_bytes)} for checkpoints and adapter; {size(self.free_disk_bytes)} free",
        }

    def problems(self) -> list[str]:
        """Return why it cannot run to its end."""
        if self.disk_bytes <= self.free_disk_bytes:
            return []
        return [
            f"The run needs {size(self.disk_bytes)} of disk and {size(self.free_disk_bytes)} are free. Free some "
            "space, or lower keep_checkpoints."
        ]


def duration(seconds: float) -> str:
    """Return a length of time for people: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for limit, unit, digits in ((1e9, "GB", 2), (1e6, "MB", 1), (1e3, "kB", 1)):
        if count >= limit:
            return f"{count / limit:,.{digits}f} {unit}"
    return f"{count:.0f} bytes"


def _wait(device: Any) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
