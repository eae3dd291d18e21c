"""Compare: what a grid would cost, or the grid itself with scores, sheets and tables."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipelines.compare.tables import judge_name
from pipelines.recipe import Recipe
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.compare import comparison_costs, run_comparison
from studio.operations.compare_plan import GridOptions, axis_values
from studio.operations.session import Session
from studio.operations.stored_comparisons import COMPARISON_NAME, GRID_NAME, comparisons_folder
from trainers.errors import UserError
from trainers.seeds import drawn_seed
from trainers.storage import write_json

_AXES_OF_THEIR_OWN = {"prompt": "prompts", "adapter": "adapters", "weight": "weights", "seed": "seeds"}


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: those of `GridOptions`, where an axis's values may also be a text as in the form (`more` too); and
    cost_only.

    Yields ``{"event": "cost", "pictures", "drawn", "evaluations", "seconds"}``, and when it was drawn a result with
    ``name``, ``judge`` and ``files``. What was drawn before it was cancelled is not drawn again.
    """
    options = _options(arguments)
    name = options.digest()
    folder = comparisons_folder(workbench.library) / name
    plan = options.comparison(folder / GRID_NAME)
    judge = workbench.judge(options.judge, options.base, options.device)

    def sessions(
        base: str, adapters: Sequence[str], recipes: Sequence[Recipe]
    ) -> contextlib.AbstractContextManager[Session]:
        return contextlib.nullcontext(
            workbench.session(base, adapters, recipes=recipes, device=options.device, precision=options.precision)
        )

    if arguments.get("cost_only"):
        costs = list(comparison_costs(plan, sessions))
        total = {key: sum(getattr(cost, key) for cost in costs) for key in ("pictures", "drawn", "evaluations")}
        yield {"event": "cost", **total, "seconds": sum(cost.seconds for cost in costs)}
        return
    folder.mkdir(parents=True, exist_ok=True)
    about = {"title": options.title, "options": dataclasses.asdict(options), "judge": judge_name(judge)}
    files = run_comparison(plan, judge, workbench, sessions)
    about |= {"files": [path.name for path in files], "finished": datetime.now(UTC).isoformat(timespec="seconds")}
    write_json(folder / COMPARISON_NAME, about)
    yield {"event": "result", "name": name, "files": [str(path) for path in files]}


def _options(arguments: Mapping[str, Any]) -> GridOptions:
    names = {item.name for item in dataclasses.fields(GridOptions)}
    unknown = sorted(arguments.keys() - names - {"cost_only"})
    if unknown:
        raise UserError(f"A comparison has no {', '.join(map(repr, unknown))}. It has: {', '.join(sorted(names))}.")
    found: dict[str, Any] = {key: value for key, value in arguments.items() if key in names}
    for axis, key in _AXES_OF_THEIR_OWN.items():
        if key in found:
            found[key] = _values(axis, found[key], key)
    more = {axis: _values(axis, value, axis) for axis, value in (found.get("more") or {}).items() if value}
    return GridOptions(**{**found, "more": more})


def _values(axis: str, given: Any, what: str) -> list[Any]:
    if isinstance(given, str):
        return axis_values(axis, given, what)
    if not isinstance(given, list):
        raise UserError(f"{what} {given!r} must be a list, or a text with commas.")
    return list(dict.fromkeys(map(drawn_seed, given) if axis == "seed" else given))


JOB = Job("compare", _run)
