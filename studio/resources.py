"""What the studio takes from its machine: the example pictures that travel with it, and memory."""

import contextlib
import ctypes
import gc
import importlib.resources
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from trainers.errors import UserError


def example_datasets(groups: Sequence[str]) -> dict[str, Path]:
    """Return the example data of some groups, such as ``styles``: ``styles/blueprint`` -> its folder."""
    found: dict[str, Path] = {}
    for group in groups:
        with contextlib.suppress(UserError):
            for folder in sorted(example_folder(group).iterdir()):
                if folder.is_dir() and not folder.name.startswith((".", "_")):
                    found[f"{group}/{folder.name}"] = folder
    return found


def example_folder(name: str) -> Path:
    """Return a folder of the examples, such as ``styles/blueprint``: of the wheel, or of the checkout.

    Raises:
        UserError: it is in neither place.
    """
    package = Path(str(importlib.resources.files("studio")))
    places = (package / "examples" / name, package.parent / "examples" / name)
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise UserError(f"The example {name!r} is missing from this installation. Install the studio again.")
    return found


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held at once (resident set)."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # Windows has no such module

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak_memory() -> int:
    """Begin to measure the peak of this process's memory anew, and return what it holds now, in bytes.

    Only Linux can begin anew; elsewhere the peak stays that of the whole process.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # what the allocator keeps for later is given back first
        ctypes.CDLL(None).malloc_trim(0)
    try:
        with open("/proc/self/clear_refs", "w") as stream:
            stream.write("5")
    except OSError:
        return peak_memory_bytes()
    return int(psutil.Process().memory_info().rss)


def peak_memory_since_reset_bytes() -> int:
    """Return the most memory that this process has held at once since `reset_peak_memory`."""
    return _status_bytes("VmHWM") or peak_memory_bytes()


def available_memory_bytes() -> int:
    """Return the memory that programs can still take on this machine."""
    return int(psutil.virtual_memory().available)


def free_disk_bytes(folder: Path) -> int:
    """Return what can still be written to the disk of a folder, which need not exist yet."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free


def _status_bytes(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
