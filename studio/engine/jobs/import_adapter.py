"""Bring another program's adapter file into the library."""

from collections.abc import Iterator, Mapping
from typing import Any

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.import_export import import_adapter
from trainers.paths import path_of


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: path, name, base, allow_unmatched, dora_norm (empty: what the file says), device, precision.

    Yields ``{"event": "result", "names": [adapter…], "notes": [sentence…]}``.
    """
    base = workbench.bare(
        str(arguments.get("base") or "pocket"),
        str(arguments.get("device") or "auto"),
        str(arguments.get("precision") or "auto"),
    )
    arrived = import_adapter(
        workbench.library,
        path_of(str(arguments["path"])),
        str(arguments["name"]),
        base,
        allow_unmatched=bool(arguments.get("allow_unmatched")),
        dora_norm=str(arguments["dora_norm"]) if arguments.get("dora_norm") else None,
    )
    yield {"event": "result", "names": list(arrived.folders), "notes": list(arrived.imported.notes)}


JOB = Job("import_adapter", _run)
