"""Measure one adapter, or where two fight: a heat map, its table by block, and what stands out."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.image_file import png_bytes
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.inspect_adapters import inspect_adapters, wanted_base
from trainers.storage import write_bytes


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: adapters (one or two names), base, device, precision.

    Yields a result with ``path`` of the picture, ``heads`` and ``rows`` of the table by block (texts), ``lines`` by
    layer, and ``notes``.
    """
    names = [str(name) for name in arguments["adapters"]]
    adapters = [workbench.read(name) for name in names]
    workbench.progress("measuring", 0, 1)
    base_name = wanted_base(adapters, str(arguments.get("base") or "") or None)
    where = (str(arguments.get("device") or "auto"), str(arguments.get("precision") or "auto"))
    found = inspect_adapters(names, adapters, workbench.bare(base_name, *where) if base_name else None)
    path = workbench.new_file(folder="inspections")
    write_bytes(path, png_bytes(found.picture))
    forms = [measure.form for measure in found.measures]
    rows = [
        [
            block,
            *(form.format(value) if math.isfinite(value) else "" for form, value in zip(forms, values, strict=True)),
        ]
        for block, values in found.rows.items()
    ]
    yield {
        "event": "result",
        "path": str(path),
        "heads": [measure.title for measure in found.measures],
        "rows": rows,
        "lines": list(found.lines),
        "notes": list(found.notes),
    }


JOB = Job("inspect", _run)
