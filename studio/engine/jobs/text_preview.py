"""Show rows of a data set as training would see them: token by token, learned from or not, and how long all are."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pipelines.families import TextBase
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.text_preview import preview_texts
from trainers.text_config import TextConfig


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: settings of a run on texts (`data` is enough), rows (how many), first (from which on, 0 is the first).

    Yields a result with ``facts`` (label -> finding), ``notes``, ``rows`` (where, mark, tokens, trained_tokens and
    pieces, each a text and whether it is learned from), ``histogram`` (fewest, most, how many), ``count`` of all rows,
    and ``per_row``: how many of ``rows`` and of the histogram's examples a row of the file makes.
    """
    workbench.progress("reading", 0, 1)

    def load(config: TextConfig) -> TextBase:
        return cast(TextBase, workbench.text_session(config.base, [], device=config.device,
                                                     precision=config.precision).attachments.base)  # fmt: skip

    found = preview_texts(
        arguments["settings"], rows=int(arguments.get("rows", 3)), first=int(arguments.get("first", 0)), load=load
    )
    yield {
        "event": "result",
        "facts": dict(found.facts),
        "notes": list(found.notes),
        "rows": [
            {
                "where": row.where,
                "mark": row.mark,
                "tokens": row.tokens,
                "trained_tokens": row.trained_tokens,
                "pieces": [[piece.text, piece.trained] for piece in row.pieces],
            }
            for row in found.rows
        ],
        "histogram": [list(bin) for bin in found.histogram],
        "count": found.count,
        "per_row": found.per_row,
    }


JOB = Job("text_preview", _run)
