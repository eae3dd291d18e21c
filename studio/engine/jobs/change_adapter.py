"""Change what an adapter's card says, its cover, or its name; the tensors stay."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.edit_card import edit_adapter, rename_adapter


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: name, new_name, triggers (list), about (key -> text, empty to take away), preview (path of a picture).

    What is not given stays. Yields ``{"event": "result", "name"}``.
    """
    name = str(arguments["name"])
    card = workbench.library.card(name)
    about = {str(key): str(value).strip() for key, value in (arguments.get("about") or {}).items()}
    known = card.training.get("about", {})
    triggers = arguments.get("triggers")
    edit_adapter(
        workbench.library,
        name,
        {key: value for key, value in about.items() if value},
        [key for key, value in about.items() if not value and key in known],
        None if triggers is None else [str(word) for word in triggers],
        Path(arguments["preview"]) if arguments.get("preview") else None,
    )
    new_name = str(arguments.get("new_name") or name)
    if new_name != name:
        rename_adapter(workbench.library, name, new_name)
    yield {"event": "result", "name": new_name}


JOB = Job("change_adapter", _run)
