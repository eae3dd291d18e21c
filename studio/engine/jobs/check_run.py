"""Check a run's settings, and show the same run as YAML, command line and Python."""

from collections.abc import Iterator, Mapping
from typing import Any

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.runs.views import views_of


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: settings. Yields one ``result`` with ``yaml``, ``command`` and ``python``."""
    yield {"event": "result", **views_of(arguments["settings"], workbench.library)}


JOB = Job("check_run", _run)
