"""One training run over its own folder, which is the source of truth.

    runs/NAME/
      config.yaml       every setting, written out
      state.json        status, step, total, problem; replaced atomically
      metrics.jsonl     one line per step
      log.txt           what was said
      samples/          fixed prompts and seeds at step 0, on the way and at the end
      control/          what is asked of it while it works, see studio.runs.control
      checkpoints/      see trainers.checkpoint

`execute` needs nothing but the folder, so the page that started a run can be closed, and a killed run is continued by
calling it again. A lock refuses a second process in the same folder.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studio.library.library import Library
from studio.proposals import proposed
from studio.report import Report
from studio.runs.control import Control, forget_requests
from studio.runs.kinds import RunKind, kind_of
from studio.runs.team import Team
from trainers.config_files import config_as_yaml, read_config
from trainers.errors import UserError, unknown
from trainers.names import composed, name_of
from trainers.paths import path_of
from trainers.storage import (
    disk_errors,
    folder_is_locked,
    folder_lock,
    read_json,
    sweep_temporary,
    write_json,
    write_text,
)

CONFIG_NAME = "config.yaml"
STATE_NAME = "state.json"
METRICS_NAME = "metrics.jsonl"
_SAID = ("created", "running", "stopped", "failed", "done")


@dataclass(frozen=True)
class Run:
    """A run's folder and the library its adapter goes to."""

    folder: Path
    library: Library

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.folder / "checkpoints"

    @property
    def name(self) -> str:
        """The run's name, which its adapter gets."""
        return name_of(self.folder.name)

    def kind(self) -> RunKind:
        """Return what kind of run it is."""
        return kind_of(read_config(self.folder / CONFIG_NAME))

    def config(self) -> Any:
        """Read the run's settings, of its kind's class."""
        values = read_config(self.folder / CONFIG_NAME)
        return kind_of(values).parse(values)

    def status(self) -> str:
        """Return created, running, stopped, failed or done; interrupted when it runs no more and nobody said so."""
        said = str(self.state().get("status", "created"))
        return "interrupted" if said == "running" and not folder_is_locked(self.folder) else said

    def state(self) -> dict[str, Any]:
        """Read the run's status; empty before its first.

        Raises:
            UserError: the file is damaged; the sentence says what to do.
        """
        path = self.folder / STATE_NAME
        if not path.exists():
            return {}
        mend = "Delete that file to go on from the run's last checkpoint, or remove the run."
        try:
            values = read_json(path, "run state")
        except UserError as error:
            raise UserError(f"{error} {mend}") from error
        problem = _state_problem(values)
        if problem:
            raise UserError(f"The run state {path} is damaged: {problem}. {mend}")
        return dict(values)

    def update(self, **values: Any) -> None:
        """Change the run's status."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.folder / STATE_NAME, {**self.state(), **values, "updated": now})


def _state_problem(values: Any) -> str:
    if not isinstance(values, dict):
        return "it holds no settings by name"
    if values.get("status", "created") not in _SAID:
        return f"the status {values['status']!r} is none of {', '.join(_SAID)}"
    wrong = [name for name in ("step", "total") if type(values.get(name) or 0) is not int]
    return f"{' and '.join(wrong)} must be whole numbers" if wrong else ""


@dataclass
class Journal:
    """Says things to the user and into the run's log, and keeps the metrics."""

    run: Run
    report: Report
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Tell one line."""
        self.report.say(text)
        self._append("log.txt", text)

    def measure(self, values: Mapping[str, Any]) -> None:
        """Add one line to the metrics."""
        line = json.dumps({**values, "seconds": round(time.monotonic() - self.started, 3)}, allow_nan=False)
        self._append(METRICS_NAME, line)

    def has_measured(self, step: int, name: str) -> bool:
        """Return whether the metrics hold a value of a step."""
        path = self.run.folder / METRICS_NAME
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return any(_step_of(line) == step and name in json.loads(line) for line in lines)

    def forget_after(self, step: int) -> None:
        """Drop metrics of steps that a killed run did after its last checkpoint; they will be done again."""
        path = self.run.folder / METRICS_NAME
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            write_text(path, "".join(line + "\n" for line in lines if _step_of(line) <= step))

    def _append(self, name: str, line: str) -> None:
        path = self.run.folder / name
        with disk_errors(path), open(path, "a", encoding="utf-8", errors="replace") as stream:
            stream.write(line + "\n")


def create_run(library: Library, config: Any) -> Run:
    """Make a new run's folder with its settings, of any kind's class.

    Raises:
        UserError: the library has a run of that name already, or an adapter where the run makes one.
    """
    kind = kind_of({"kind": config.kind})
    folder = check_new_run(library, config.name, makes_adapter=bool(kind.parts))
    kept = kind.prepare(config, library)
    run = Run(folder, library)
    try:
        write_text(folder / CONFIG_NAME, config_as_yaml(kept))
        run.update(status="created", step=0, total=getattr(config, "steps", 0))
    except UserError:
        discard_unstarted(run)
        raise
    return run


def check_new_run(library: Library, name: str, *, makes_adapter: bool = True) -> Path:
    """Return where a new run of that name would go.

    Raises:
        UserError: the library has a run of that name already, or an adapter where the run makes one.
    """
    if makes_adapter:
        library.new_adapter_folder(name)
    folder = library.run_folder(name)
    if (folder / CONFIG_NAME).exists():
        there = Run(folder, library)
        on = proposed([*there.kind().command.split(), "--resume", name], library)
        raise UserError(
            f"There is a run {name!r} already ({there.status()}). Choose another --name, remove it with "
            f"{proposed(['remove', name], library)} or go on with {on}"
        )
    return folder


def find_run(library: Library, name: str) -> Run:
    """Return a run by name or folder.

    Raises:
        UserError: there is none.
    """
    there, kept = library.runs(), composed(name)
    if kept in there:
        return Run(there[kept], library)
    if (path_of(name) / CONFIG_NAME).is_file():
        return Run(path_of(name), library)
    raise unknown("Run", name, there, f"The library is {library.folder}.")


def execute(
    run: Run,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    requests_stand: bool = False,
    team: Team | None = None,
) -> Path | None:
    """Do what is left of a run. Return the result's folder, or None when it was stopped before its end.

    Args:
        requests_stand: whether what was asked of the run before now is for this process.
        team: the processes that work on it together, of which this is the main one; the others join it.

    Raises:
        UserError: another process works on it, or an input is wrong. The run stays resumable.
    """
    team = team or Team()
    with folder_lock(run.folder):
        before = run.state()
        if before.get("status") == "done":
            raise UserError(f"The run {run.name!r} is done; there is nothing to resume.")
        _check_processes(run, before, team.processes.count)
        for folder in (run.folder, run.folder / "samples"):
            sweep_temporary(folder)
        if not requests_stand:
            forget_requests(run.folder)
        try:
            total = getattr(run.config(), "steps", before.get("total", 0))
            step = before.get("step", 0)
            count = team.processes.count
            run.update(status="running", problem=None, step=step, total=total, process=os.getpid(), processes=count)
            team.last_word = lambda problem: run.update(status="failed", problem=problem)
            team.share(str(run.folder))
            journal = Journal(run, report)
            for sentence in team.sentences(run.config()):
                journal.say(sentence)
            with team.explained():
                result = run.kind().work(run, journal, Control(run.folder, should_stop, team))
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            problem = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(UserError):  # on a full disk the first error is the one to tell
                run.update(status="stopped" if stopped else "failed", problem=None if stopped else problem)
            raise
        finally:
            forget_requests(run.folder)
        run.update(status="done" if result else "stopped")
        return result


def _check_processes(run: Run, before: Mapping[str, Any], count: int) -> None:
    """Refuse to go on with another number of processes: a step would see other pictures or texts."""
    if count > 1 and not run.kind().parts:
        raise UserError(
            f"The run {run.name!r} trains no adapter, and works in one process. Start it without a launcher."
        )
    begun = int(before.get("processes", 1))
    if begun == count or not run.checkpoints.exists():
        return
    command = f"studio {run.kind().command} --resume {run.name}"
    began, wanted = f"{begun} processes", f"torchrun --nproc_per_node {begun} -m {command}"
    if begun == 1:
        began, wanted = "1 process", command
    raise UserError(
        f"The run {run.name!r} was begun by {began} and {count} came; a step would learn from other data. Go on with: "
        f"{wanted}"
    )


def discard_unstarted(run: Run) -> None:
    """Remove a run that failed before its first step, so that a mistake in the input leaves nothing behind."""
    if not (run.folder / METRICS_NAME).exists() and not run.checkpoints.exists():
        with contextlib.suppress(UserError):  # another process took it over
            run.library.remove_run(run.name)
        with contextlib.suppress(OSError):  # not empty: others live there
            run.library.runs_folder.rmdir()
            run.library.folder.rmdir()


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 1 << 62  # a torn last line
