"""Which devices this machine has, without loading torch."""

import functools
import platform
import shutil
import subprocess
from pathlib import Path

_PATIENCE_S = 10


def devices() -> list[str]:
    """Return the devices that can be chosen: ``auto``, ``cpu``, and what else is here."""
    own = ["mps"] if platform.system() == "Darwin" and platform.machine() == "arm64" else []
    return ["auto", "cpu", *own, *(f"cuda:{number}" for number in range(cuda_devices()))]


def default_device() -> str:
    """Return the device that ``auto`` means here, as far as it can be told without torch."""
    return "cuda:0" if cuda_devices() else "cpu"


@functools.cache
def cuda_devices() -> int:
    """Return the number of NVIDIA GPUs that the driver shows."""
    cards = Path("/proc/driver/nvidia/gpus")
    if cards.is_dir():
        return len(list(cards.iterdir()))
    tool = shutil.which("nvidia-smi")  # Windows, and Linux inside it
    if tool is None:
        return 0
    try:
        told = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, timeout=_PATIENCE_S, check=False)  # noqa: S603 - the driver's own program
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in told.stdout.splitlines())
