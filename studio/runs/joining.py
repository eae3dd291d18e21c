"""The share of a process beside the main one in a run: it does every step with the others, and writes nothing."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.library.library import Library
from studio.report import Quiet
from studio.runs.control import Control
from studio.runs.run import Journal, Run
from studio.runs.team import Team
from trainers.errors import UserError
from trainers.storage import folder_lock


def join(library: Library, team: Team) -> None:
    """Do the share of a process that is not the main one in the run that the main one executes; write nothing.

    Raises:
        UserError: this process cannot go on, or another one is gone.
    """
    run = _JoinedRun(Path(team.share(None)), library)
    team.last_word = lambda problem: _note_lost_main(run, team, problem)
    try:
        with team.explained():
            run.kind().work(run, _Unheard(run, Quiet()), Control(run.folder, team=team))
    except UserError:
        if team.lost.is_set() and team.problem is not None:
            team.last_word(team.problem)
        raise


class _JoinedRun(Run):
    """A run as the processes beside the main one see it: they read it."""

    def update(self, **values: Any) -> None:
        """The main process writes the state."""


class _Unheard(Journal):
    """What a process beside the main one would say; the main one says it."""

    def say(self, text: str) -> None:
        """Drop it."""

    def measure(self, values: Mapping[str, Any]) -> None:
        """Drop it."""

    def forget_after(self, step: int) -> None:
        """Leave the metrics alone."""


def _note_lost_main(run: Run, team: Team, problem: str) -> None:
    """Write down for a main process that is gone why its run does not go on; one of those that are left does."""
    if team.processes.rank == 1:
        with contextlib.suppress(UserError), folder_lock(run.folder):  # somebody may have resumed it by now
            Run(run.folder, run.library).update(status="failed", problem=problem)
