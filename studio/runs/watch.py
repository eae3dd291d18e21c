"""Runs as a page shows them: read from their folders alone, so a reload, a second page or a new app says the same."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.library.library import Library, open_run_names
from studio.runs.control import is_asked
from studio.runs.kinds import kind_of
from studio.runs.metrics import Metrics
from studio.runs.queue import OUTPUT_NAME, RunQueue, is_starting
from studio.runs.run import CONFIG_NAME, STATE_NAME, Run
from trainers.config_files import read_config
from trainers.errors import UserError

_TAIL_BYTES = 16_384
_ORDER = ("running", "stopping", "starting", "waiting", "failed", "interrupted", "stopped", "created", "done", "broken")


@dataclass(frozen=True)
class RunRow:
    """One run as it stands."""

    name: str
    status: str
    """starting, running, stopping, waiting, created, stopped, failed, interrupted, done, or broken (unreadable)."""
    place: int
    """Place in the queue from 1, 0 when it does not wait."""
    step: int
    total: int
    problem: str
    """The sentence of a failed run, empty otherwise."""
    updated: str
    kind: str

    @property
    def works(self) -> bool:
        """Whether a process works on it."""
        return self.status in ("starting", "running", "stopping")

    @property
    def startable(self) -> bool:
        """Whether it can be put into the queue."""
        return self.status in ("created", "stopped", "failed", "interrupted")


def run_rows(library: Library, queue: RunQueue) -> list[RunRow]:
    """Return all runs: those that work, those that wait in their order, then the others, newest first."""
    try:
        waiting = queue.waiting()
    except UserError:
        waiting = []
    rows = [_row(Run(library.run_folder(name), library), waiting) for name in open_run_names(library)]
    rows.sort(key=lambda row: row.updated, reverse=True)
    return sorted(rows, key=lambda row: (min(_ORDER.index(row.status), 4), row.place))


def find_row(rows: Sequence[RunRow], name: str | None) -> RunRow | None:
    """Return the row of a run."""
    return next((row for row in rows if row.name == name), None)


def first_row(rows: Sequence[RunRow], shown: str = "") -> RunRow | None:
    """Return what a page shows to somebody who has chosen no run: the one that works, else the newest.

    Args:
        shown: the run that the page shows now. While it works, and when it has failed or was stopped, it stays: the
            next one in the queue must not take its place before anybody has seen how it ended.
    """
    row = find_row(rows, shown)
    if row is not None and (row.works or row.status not in ("waiting", "created", "done")):
        return row
    return next((row for row in rows if row.works), None) or max(rows, key=lambda row: row.updated, default=None)


def _row(run: Run, waiting: Sequence[str]) -> RunRow:
    try:
        state = run.state()
        kind = _kind_of(run.folder / CONFIG_NAME, _facts(run.folder / CONFIG_NAME))
        status = run.status()
    except UserError as error:
        return RunRow(run.name, "broken", 0, 0, 0, str(error), "", "")
    place = waiting.index(run.name) + 1 if run.name in waiting else 0
    if place:
        status = "waiting"
    elif status == "running" and is_asked(run.folder, "stop"):
        status = "stopping"
    elif is_starting(run):
        status = "starting"
    problem = str(state.get("problem") or "") if status == "failed" else ""
    step = max(int(state.get("step") or 0), _last_step(run) if status in ("running", "stopping") else 0)
    return RunRow(
        run.name, status, place, step, int(state.get("total") or 0), problem, str(state.get("updated", "")), kind
    )


@functools.lru_cache(maxsize=4096)
def _kind_of(path: Path, facts: tuple[int, int]) -> str:
    """Return a run's kind; a page asks every second for all runs, and their settings hardly ever change.

    Args:
        facts: of the file, so that a changed one is read again.
    """
    return kind_of(read_config(path)).name


def _last_step(run: Run) -> int:
    """Return the last measured step; the state knows only that of the last checkpoint."""
    for line in reversed(_tail(run.folder / "metrics.jsonl", 4096).splitlines()):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):  # the line is still growing
            continue
    return 0


def stamp_of(run: Run) -> tuple[Any, ...]:
    """Return what changes whenever a run has something new to show."""
    files = (run.folder / name for name in (STATE_NAME, "metrics.jsonl", "log.txt", "samples", "control"))
    return tuple(_facts(path) for path in files)


def _facts(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:
        return 0, 0
    return facts.st_size, facts.st_mtime_ns


def log_tail(run: Run) -> str:
    """Return the end of what a run said, and what its process printed when it could not say anything."""
    said = _tail(run.folder / "log.txt")
    printed = "\n".join(
        line for line in _tail(run.folder / OUTPUT_NAME).splitlines() if not line.startswith("process ")
    )
    return "\n".join(part for part in (said, printed) if part)


def _tail(path: Path, most_bytes: int = _TAIL_BYTES) -> str:
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - most_bytes))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return (text if size <= most_bytes else text.partition("\n")[2]).rstrip()


def seconds_left(row: RunRow, metrics: Metrics) -> float | None:
    """Return the time that the remaining steps take at the pace of the last ones, None while it is not known."""
    pace = metrics.seconds_per_step()
    if row.status not in ("running", "stopping") or pace is None or row.total <= metrics.last_step:
        return None
    return pace * (row.total - metrics.last_step)


def sample_steps(run: Run) -> list[int]:
    """Return the steps that there are samples of, rising."""
    found = set()
    for path in (run.folder / "samples").glob("step-*"):
        number = path.name.removeprefix("step-")[:8]
        if number.isdigit():
            found.add(int(number))
    return sorted(found)


def sample_pictures(run: Run, step: int) -> list[Path]:
    """Return the sample pictures of a step in the order of their prompts."""
    found = (run.folder / "samples").glob(f"step-{step:08d}-*.png")
    return sorted(found, key=lambda path: (len(path.stem), path.stem))


def sample_texts(run: Run, step: int) -> list[tuple[str, str]]:
    """Return the sample answers of a step, with their prompts."""
    return read_answers(run.folder / "samples" / f"step-{step:08d}.jsonl")


def read_answers(path: Path) -> list[tuple[str, str]]:
    """Return prompts and answers of a file of samples; lines that cannot be read are left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows: list[tuple[str, str]] = []
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, Mapping):
            rows.append((str(values.get("prompt", "")), str(values.get("answer", ""))))
    return rows


def prompt_of(picture: Path) -> str:
    """Return the prompt that a sample carries as PNG text; empty where it carries none. Nothing is decoded."""
    try:
        with open(picture, "rb") as stream:
            if stream.read(8) != b"\x89PNG\r\n\x1a\n":
                return ""
            while len(head := stream.read(8)) == 8:
                length, kind = int.from_bytes(head[:4], "big"), head[4:]
                if kind == b"IDAT" or length > 65_536:
                    return ""
                content = stream.read(length)
                stream.read(4)
                if kind == b"iTXt" and content.startswith(b"prompt\0\0\0"):
                    return content.split(b"\0", 5)[5].decode("utf-8", errors="replace")
    except OSError:
        pass
    return ""


def settings_of(run: Run) -> dict[str, Any]:
    """Return a run's settings as plain values, without checking them.

    Raises:
        UserError: they cannot be read.
    """
    return read_config(run.folder / CONFIG_NAME)
