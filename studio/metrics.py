"""A run's metrics as they grow: only what is new is read, however long the file is."""

import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NAN = float("nan")
_MOST_BYTES = 64 << 20
"""Read at once; a longer file is read on with the next call, so that no page waits for it."""
_RECENT_STEPS = 50


@dataclass
class Series:
    """One measured quantity by step."""

    steps: array = field(default_factory=lambda: array("q"))
    values: array = field(default_factory=lambda: array("d"))

    def add(self, step: int, value: float) -> None:
        """Append one point."""
        self.steps.append(step)
        self.values.append(value)


@dataclass
class Metrics:
    """All series of one ``metrics.jsonl``; `refresh` reads on from where it was.

    Series are named as in the file; those of a mapping such as the learning rates as ``learning_rates.unet``.
    """

    path: Path
    series: dict[str, Series] = field(default_factory=dict)
    clock: Series = field(default_factory=Series)
    """Seconds since the run's present process began, by step."""
    last_step: int = 0
    _offset: int = 0
    _file: tuple[int, int] = (0, 0)

    def refresh(self) -> bool:
        """Read what is new; return whether there was anything."""
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            changed = self._offset > 0
            self._forget((0, 0))
            return changed
        file = (facts.st_dev, facts.st_ino)
        changed = False
        if file != self._file or facts.st_size < self._offset:  # a resumed run wrote it anew, without later steps
            changed = self._offset > 0
            self._forget(file)
        if facts.st_size == self._offset:
            return changed
        with open(self.path, "rb") as stream:
            stream.seek(self._offset)
            block = stream.read(_MOST_BYTES)
        whole = block[: block.rfind(b"\n") + 1]  # the last line may still be growing
        self._offset += len(whole)
        for line in _parsed(whole):
            self._take(line)
        return changed or bool(whole)

    def seconds_per_step(self) -> float | None:
        """Return the pace of the last steps of the present process, None before it is known."""
        steps, seconds = self.clock.steps, self.clock.values
        first = max(0, len(steps) - _RECENT_STEPS)
        if len(steps) - first < 2 or steps[-1] == steps[first]:
            return None
        return (seconds[-1] - seconds[first]) / (steps[-1] - steps[first])

    def _forget(self, file: tuple[int, int]) -> None:
        self.series, self.clock = {}, Series()
        self._offset, self._file, self.last_step = 0, file, 0

    def _take(self, line: Mapping[str, Any]) -> None:
        step = line.get("step")
        if not isinstance(step, int):
            return
        self.last_step = max(self.last_step, step)
        for name, value in _flat(line):
            if name == "seconds":
                self._tick(step, value)
            else:
                self.series.setdefault(name, Series()).add(step, value)

    def _tick(self, step: int, seconds: float) -> None:
        if self.clock.values and seconds < self.clock.values[-1]:  # another process goes on
            self.clock = Series()
        self.clock.add(step, seconds)


def _flat(line: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for name, value in line.items():
        if name in ("step", "skipped"):
            continue
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", float(own)) for key, own in value.items() if isinstance(own, int | float))
        elif isinstance(value, int | float):
            yield name, float(value)
        elif value is None:  # not finite, so the step was skipped
            yield name, _NAN


def _parsed(block: bytes) -> list[Mapping[str, Any]]:
    """Return the lines' objects; lines that a killed process tore are left out."""
    lines = block.split(b"\n")[:-1]
    try:
        found = json.loads(b"[" + b",".join(lines) + b"]")  # one call is several times quicker than one a line
        return [line for line in found if isinstance(line, dict)]
    except ValueError:
        return [line for line in map(_one, lines) if line is not None]


def _one(line: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def thinned(series: Series, points: int) -> list[int]:
    """Return the places of at most so many points that keep the lowest and highest of every stretch, in order.

    Args:
        points: at least 4; half as many stretches are looked at.
    """
    count = len(series.values)
    if count <= points:
        return list(range(count))
    stretches = max(1, (points - 2) // 2)
    first, last = series.steps[0], series.steps[-1]
    kept = {0, count - 1}
    begin = 0
    for number in range(1, stretches + 1):
        end = count if number == stretches else bisect_left(series.steps, first + (last - first) * number / stretches)
        if end > begin:
            stretch = series.values[begin:end]
            kept |= {begin + stretch.index(min(stretch)), begin + stretch.index(max(stretch))}
            begin = end
    return sorted(kept)


class MetricsShelf:
    """The metrics of several runs, kept while they are looked at."""

    def __init__(self, kept: int = 8) -> None:
        self._kept = kept
        self._found: dict[Path, Metrics] = {}

    def of(self, run_folder: Path) -> Metrics:
        """Return a run's metrics, read as far as they go."""
        path = run_folder / "metrics.jsonl"
        found = self._found.pop(path, None) or Metrics(path)
        self._found[path] = found
        while len(self._found) > self._kept:
            del self._found[next(iter(self._found))]
        found.refresh()
        return found


def is_there(path: Path) -> bool:
    """Return whether a file is there and can be read."""
    return os.access(path, os.R_OK)
