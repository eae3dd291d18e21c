"""What can be asked of a run while it works: files in its folder, so that any page, shell or script can ask.

runs/NAME/control/stop      stop after the step
runs/NAME/control/save      write a checkpoint now
runs/NAME/control/sample    make samples now
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from trainers.storage import write_text

Request = Literal["stop", "save", "sample"]
_FOLDER = "control"


def ask(run_folder: Path, request: Request) -> None:
    """Ask a working run for something; it answers after its step."""
    write_text(run_folder / _FOLDER / request, "")


def forget_requests(run_folder: Path) -> None:
    """Drop what was asked and not answered, so that it does not meet the next process."""
    for path in (run_folder / _FOLDER).glob("*"):
        path.unlink(missing_ok=True)


class Control:
    """The run's side: what was asked of it."""

    def __init__(self, run_folder: Path, should_stop: Callable[[], bool] = lambda: False) -> None:
        self._folder = run_folder / _FOLDER
        self._should_stop = should_stop

    def stops(self) -> bool:
        """Return whether to stop after the step; once asked, it stays asked."""
        return self._should_stop() or (self._folder / "stop").exists()

    def takes(self, request: Literal["save", "sample"]) -> bool:
        """Return whether something was asked for, once."""
        try:
            (self._folder / request).unlink()
        except FileNotFoundError:
            return False
        return True
