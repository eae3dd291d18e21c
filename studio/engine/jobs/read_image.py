"""Read the settings of an uploaded PNG, for the form of Generate."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.image_settings import read_image_settings
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: path. Yields one result with ``values`` and ``unused``, see `ImageSettings`."""
    found = read_image_settings(Path(arguments["path"]))
    yield {"event": "result", "values": dict(found.values), "unused": list(found.unused)}


JOB = Job("read_image", _run)
