"""Check a run's settings and make its folder; the queue then starts it."""

from collections.abc import Iterator, Mapping
from typing import Any

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.runs.kinds import kind_of
from studio.runs.run import create_run


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: settings. Yields one ``result`` with the run's ``name``."""
    settings = arguments["settings"]
    run = create_run(workbench.library, kind_of(settings).parse(settings))
    yield {"event": "result", "name": run.name}


JOB = Job("create_run", _run)
