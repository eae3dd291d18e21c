"""Look at another program's adapter file: format, kinds, ranks, what of it the base has, metadata. Nothing is kept."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.examine_file import examine
from studio.operations.import_export import name_from
from trainers.paths import path_of


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: path, base, device, precision. Yields ``{"event": "result", …}`` with the fields of `Examination`."""
    path = path_of(str(arguments["path"]))
    base = workbench.bare(
        str(arguments.get("base") or "pocket"),
        str(arguments.get("device") or "auto"),
        str(arguments.get("precision") or "auto"),
    )
    found = asdict(examine(path, base))
    yield {"event": "result", "suggested_name": name_from(path), "family": base.family, **found}


JOB = Job("examine_file", _run)
