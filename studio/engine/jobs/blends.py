"""Say which blends there are, with their settings, so that the page can show a form for each."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.blends import blends
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Yields a result; its ``blends`` have name, title, kind, source, by_block, and the settings as JSON schema."""
    found = [
        {
            "name": blend.name,
            "title": blend.title,
            "kind": blend.kind,
            "source": blend.source,
            "by_block": blend.by_block,
            "settings": blend.settings.model_json_schema()["properties"],
        }
        for blend in blends().values()
    ]
    yield {"event": "result", "blends": found}


JOB = Job("blends", _run)
