"""What can be asked of a run while it works: files in its folder, so that any page, shell or script can ask.

runs/NAME/control/stop      stop after the step
runs/NAME/control/save      write a checkpoint now
runs/NAME/control/sample    make samples now
runs/NAME/control/started   the process that was started for it, while it loads its libraries
runs/NAME/control/killed    somebody ended its process on purpose
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import psutil

from studio.runs.team import Team
from trainers.processes import Processes
from trainers.storage import write_text

Request = Literal["stop", "save", "sample"]
_FOLDER = "control"
_LONGEST_START_SECONDS = 600.0


def ask(run_folder: Path, request: Request) -> None:
    """Ask a working run for something; it answers after its step."""
    write_text(run_folder / _FOLDER / request, "")


def forget_requests(run_folder: Path) -> None:
    """Drop what was asked and not answered, so that it does not meet the next process."""
    for path in (run_folder / _FOLDER).glob("*"):
        path.unlink(missing_ok=True)


def note_start(run_folder: Path, process: int) -> None:
    """Remember the process that was just started for a run."""
    write_text(run_folder / _FOLDER / "started", str(process))


def started_process(run_folder: Path) -> int | None:
    """Return the process that was started for a run a short while ago and still lives, or None."""
    path = run_folder / _FOLDER / "started"
    try:
        if time.time() - path.stat().st_mtime > _LONGEST_START_SECONDS:
            return None
        process = int(path.read_text(encoding="utf-8"))
        status = psutil.Process(process).status()
    except (OSError, ValueError, OverflowError, psutil.Error):
        return None
    # A zombie has ended, and only its parent has not noticed.
    return None if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else process


def note_kill(run_folder: Path) -> None:
    """Remember that a run's process is ended on purpose."""
    write_text(run_folder / _FOLDER / "killed", "")


def was_killed(run_folder: Path) -> bool:
    """Return whether a run's process was ended on purpose."""
    return (run_folder / _FOLDER / "killed").exists()


def is_asked(run_folder: Path, request: Request) -> bool:
    """Return whether something was asked for and not answered yet."""
    return (run_folder / _FOLDER / request).exists()


class Control:
    """The run's side: what was asked of it."""

    def __init__(
        self, run_folder: Path, should_stop: Callable[[], bool] = lambda: False, team: Team | None = None
    ) -> None:
        self._folder = run_folder / _FOLDER
        self._should_stop = should_stop
        self.team = team or Team()
        """The processes that work on the run together."""

    @property
    def processes(self) -> Processes:
        """Who they are."""
        return self.team.processes

    def stops(self) -> bool:
        """Return whether to stop after the step; once asked, it stays asked."""
        return self._should_stop() or self.team.stop_asked or (self._folder / "stop").exists()

    def takes(self, request: Literal["save", "sample"]) -> bool:
        """Return whether something was asked for, once."""
        try:
            (self._folder / request).unlink()
        except FileNotFoundError:
            return False
        return True
