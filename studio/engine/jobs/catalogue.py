"""List what can be chosen: methods with their settings, blends, formats."""

from collections.abc import Iterator, Mapping
from typing import Any

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.catalogue import cached_catalogue, read_catalogue


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """No arguments. Yields one ``result`` with the lists ``methods``, ``blends`` and ``formats``."""
    found = cached_catalogue(workbench.library) or read_catalogue(workbench.library)
    yield {"event": "result", **found}


JOB = Job("catalogue", _run)
