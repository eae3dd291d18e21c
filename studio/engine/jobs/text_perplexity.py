"""Measure how well the base, adapters and their blend foresee texts that they were not trained on."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.bases import POCKET_LANGUAGE
from pipelines.perplexity import perplexity
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.text_compare import read_held_out


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: data (file of texts, or folder with held_out.jsonl), columns (each with title and weights), base,
    device, precision.

    Yields ``{"event": "measured", "title", "tokens", "loss", "perplexity", "notes"}`` for each column; the notes say
    what of the texts is passed over.
    """
    data = read_held_out(str(arguments["data"]))
    columns = [(str(column["title"]), dict(column["weights"])) for column in arguments["columns"]]
    session = workbench.text_session(
        str(arguments.get("base") or POCKET_LANGUAGE),
        list(dict.fromkeys(name for _, weights in columns for name in weights)),
        device=str(arguments.get("device") or "auto"),
        precision=str(arguments.get("precision") or "auto"),
    )
    for number, (title, weights) in enumerate(columns):

        def told(done: int, total: int, number: int = number, title: str = title) -> None:
            workbench.progress("measuring", number * total + done, len(columns) * total, title)

        found = perplexity(session.attachments, data.rows, weights, on_batch=told)
        yield {
            "event": "measured",
            "title": title,
            "tokens": found.tokens,
            "loss": found.loss,
            "perplexity": found.value,
            "notes": [*data.notes(), *found.notes],
        }


JOB = Job("text_perplexity", _run)
