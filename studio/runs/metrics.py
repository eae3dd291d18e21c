"""A run's metrics as they grow: only what is new is read, however long the file is."""

import itertools
import json
import threading
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_NAN = float("nan")
_ABSENT = object()
_MOST_BYTES = 8 << 20
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
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refresh(self) -> bool:
        """Read what is new; return whether there was anything."""
        with self._lock:
            return self._read_on()

    def points(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a series as (steps, values), empty where there is none; a step without a finite value is NaN."""
        with self._lock:
            series = self.series.get(name, Series())
            return np.array(series.steps, dtype=np.int64), np.array(series.values, dtype=np.float64)

    def _read_on(self) -> bool:
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
        lines = [line for line in _parsed(whole) if isinstance(line, dict) and type(line.get("step")) is int]
        if lines:
            self._take(lines)
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

    def _take(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Append lines column by column, which is many times quicker than line by line."""
        steps = [line["step"] for line in lines]
        self.last_step = max([self.last_step, *steps])
        for name in dict.fromkeys(itertools.chain.from_iterable(lines)):
            if name == "seconds":
                for line in lines:
                    self._tick(line["step"], line.get(name))
            elif name not in ("step", "skipped"):
                self._column(str(name), steps, [line.get(name, _ABSENT) for line in lines])

    def _column(self, name: str, steps: Sequence[int], column: Sequence[Any]) -> None:
        nested = dict.fromkeys(itertools.chain.from_iterable(one for one in column if isinstance(one, dict)))
        for key in nested:
            own = [one.get(key, _ABSENT) if isinstance(one, dict) else _ABSENT for one in column]
            self._column(f"{name}.{key}", steps, own)
        if nested:
            return
        series = self.series.setdefault(name, Series())
        for step, value in zip(steps, column, strict=True):
            if value is None:  # not finite, so the step was skipped
                series.add(step, _NAN)
            elif isinstance(value, int | float):
                series.add(step, value)

    def _tick(self, step: int, seconds: object) -> None:
        if not isinstance(seconds, int | float):
            return
        if self.clock.values and seconds < self.clock.values[-1]:  # another process goes on
            self.clock = Series()
        self.clock.add(step, seconds)


def _parsed(block: bytes) -> list[Any]:
    """Return the lines' objects; lines that a killed process tore are left out."""
    lines = block.split(b"\n")[:-1]
    try:
        return list(json.loads(b"[" + b",".join(lines) + b"]"))  # one call is quicker than one for every line
    except ValueError:
        return [_one(line) for line in lines]


def _one(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def thinned(steps: np.ndarray, values: np.ndarray, points: int) -> np.ndarray:
    """Return the places of at most so many points that keep the lowest and highest of every stretch, in order.

    Args:
        steps: rising.
        points: at least 4; half as many stretches of equal length in steps are looked at.
    """
    count = len(values)
    if count <= points:
        return np.arange(count)
    stretches = max(1, (points - 2) // 2)
    bounds = np.searchsorted(steps, np.linspace(steps[0], steps[-1], stretches + 1)[1:-1])
    kept = [0, count - 1]
    for begin, end in itertools.pairwise([0, *bounds.tolist(), count]):
        stretch = values[begin:end]
        if len(stretch) and not np.isnan(stretch).all():
            kept += [begin + int(np.nanargmin(stretch)), begin + int(np.nanargmax(stretch))]
    return np.unique(kept)


class MetricsShelf:
    """The metrics of several runs, kept while they are looked at."""

    def __init__(self, kept: int = 8) -> None:
        self._kept = kept
        self._found: dict[Path, Metrics] = {}
        self._lock = threading.Lock()

    def of(self, run_folder: Path) -> Metrics:
        """Return a run's metrics, read as far as they go."""
        path = run_folder / "metrics.jsonl"
        with self._lock:
            found = self._found.pop(path, None) or Metrics(path)
            self._found[path] = found
            while len(self._found) > self._kept:
                del self._found[next(iter(self._found))]
        found.refresh()
        return found
