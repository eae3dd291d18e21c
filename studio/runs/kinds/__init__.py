"""Kinds of runs, one file each. The queue, the form and the command line take them from here."""

import functools
import sys
from collections.abc import Mapping
from typing import Any

from studio.runs.kinds._run_kind import Preflight, RunKind
from trainers.errors import UserError
from trainers.old_names import KINDS_OF_RUNS
from trainers.registry import discover

__all__ = ["Preflight", "RunKind", "kind_of", "run_kinds"]


@functools.cache
def run_kinds() -> Mapping[str, RunKind]:
    """Return every kind of run by name; those that train an adapter stand first."""
    found = discover(sys.modules[__name__], "RUN_KIND")
    return dict(sorted(found.items(), key=lambda item: (not item[1].parts, item[0])))


def kind_of(values: Mapping[str, Any]) -> RunKind:
    """Return the kind of run that plain settings are for; settings without a `kind` are for images.

    Raises:
        UserError: no such kind.
    """
    name = values.get("kind", "images")
    name = KINDS_OF_RUNS.get(name, name) if isinstance(name, str) else name
    if name not in run_kinds():
        raise UserError(f"kind = {name!r} is no kind of run. There are: {', '.join(run_kinds())}.")
    return run_kinds()[name]
