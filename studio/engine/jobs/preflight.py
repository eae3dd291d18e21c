"""Say what a run would find before it starts: data, layers, time, memory, disk, and why it cannot start."""

from collections.abc import Iterator, Mapping
from typing import Any

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.runs.kinds import Preflight, kind_of
from studio.runs.run import check_new_run
from trainers.errors import UserError


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: settings. Yields one ``result`` with ``facts`` (label -> finding), ``problems`` and ``notes``."""
    settings = arguments["settings"]
    kind = kind_of(settings)
    workbench.progress("checking the settings", 0, 2)
    try:
        config = kind.parse(settings)
    except UserError as error:
        yield _result(Preflight(problems=(str(error),)))
        return
    taken = []
    try:
        check_new_run(workbench.library, config.name)
    except UserError as error:
        taken.append(str(error))
    workbench.progress("measuring one step", 1, 2)
    workbench.release()  # the run's own base takes the room of the one that pictures are drawn with
    found = kind.preflight(config, workbench.library)
    yield _result(Preflight(found.facts, list(dict.fromkeys([*taken, *found.problems])), found.notes))


def _result(preflight: Preflight) -> Event:
    return {
        "event": "result",
        "facts": dict(preflight.facts),
        "problems": list(preflight.problems),
        "notes": list(preflight.notes),
    }


JOB = Job("preflight", _run)
