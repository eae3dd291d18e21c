"""Take a parent out of an exact blend; the others stay bit for bit."""

from collections.abc import Iterator, Mapping
from typing import Any

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.blend import take_out


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: blend, parent, name. Yields a result with ``name`` and what is left as a ``formula``."""
    name = str(arguments["name"])
    take_out(workbench.library, str(arguments["blend"]), str(arguments["parent"]), name)
    recipe = workbench.library.card(name).recipe
    yield {"event": "result", "name": name, "formula": recipe.formula() if recipe is not None else ""}


JOB = Job("blend_take_out", _run)
