"""What a library takes on the disk, by kind, and clearing what can be made again."""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.library.library import Library

KINDS = ("adapters", "runs", "data", "outputs", "searches", "studies", "cache", "logs")
"""Folders of a library that are told one by one; everything else is `OTHER`."""
OTHER = "other"
CLEARABLE = ("cache", "outputs")
"""What can be cleared: copies for the page, and pictures made in the app."""
_IN_USE_SECONDS = 600


@dataclass(frozen=True)
class Use:
    """What one kind takes."""

    kind: str
    files: int
    size_bytes: int


@dataclass(frozen=True)
class Clearing:
    """What would be deleted. It is worked out once and shown; deleting takes exactly these files."""

    kind: str
    files: tuple[Path, ...]
    size_bytes: int


def disk_use(library: Library) -> list[Use]:
    """Return what each kind takes, those that take nothing included, `OTHER` last."""
    counts = {kind: [0, 0] for kind in (*KINDS, OTHER)}
    for path, size in _files(library.folder):
        kind = path.relative_to(library.folder).parts[0]
        count = counts[kind if kind in KINDS else OTHER]
        count[0] += 1
        count[1] += size
    return [Use(kind, files, size) for kind, (files, size) in counts.items()]


def free_bytes(library: Library) -> int:
    """Return the free space of the disk that the library lies on."""
    place = library.folder
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def plan_clearing(library: Library, kind: str, older_than_days: float, *, now: float | None = None) -> Clearing:
    """Return which files of a kind would be deleted.

    Args:
        kind: one of `CLEARABLE`.
        older_than_days: files changed later stay; of the cache what was used in the last ten minutes always stays,
            because an open page may show it.
        now: seconds since 1970; the clock's unless given.
    """
    assert kind in CLEARABLE, kind
    moment = time.time() if now is None else now
    border = moment - max(older_than_days * 86_400, _IN_USE_SECONDS if kind == "cache" else 0)
    found = [(path, size) for path, size in _files(library.folder / kind) if _changed(path) <= border]
    return Clearing(kind, tuple(path for path, _ in found), sum(size for _, size in found))


def clear(library: Library, clearing: Clearing) -> int:
    """Delete the files that were shown, and folders that are empty then; return how many files went."""
    place = library.folder / clearing.kind
    gone = 0
    for path in clearing.files:
        if place in path.parents and not path.is_dir():
            path.unlink(missing_ok=True)
            gone += 1
    for folder, _, _ in os.walk(place, topdown=False):
        if Path(folder) != place and not os.listdir(folder):
            os.rmdir(folder)
    return gone


def size_text(size_bytes: int) -> str:
    """Return a size in the largest unit that keeps it above 1."""
    value, units = float(size_bytes), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "bytes" else f"{value:.1f} {units[0]}"


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield every file with its bytes; links count as themselves and are never followed."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            try:
                yield path, path.lstat().st_size
            except FileNotFoundError:
                continue  # a worker removed it meanwhile


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")
