"""Tables of plain text, whose heads are in the reader's language: Gradio translates labels, but not the heads."""

from collections.abc import Iterable, Sequence
from typing import Any

import gradio as gr

from studio.app.shared.words import Words


def text_table(words: Words, label: str, *heads: str, **options: Any) -> gr.Dataframe:
    """Return an empty table that nobody edits.

    Args:
        label: key of its label.
        heads: keys of the columns' heads.
        options: what else `gr.Dataframe` takes.
    """
    return gr.Dataframe(
        headers=[words.say(None, head) for head in heads],
        datatype="str",
        type="array",
        label=words(label),
        interactive=False,
        **{"max_height": 360, "min_width": 240, "wrap": True, **options},
    )


def filled(words: Words, request: gr.Request, rows: Iterable[Sequence[object]], *heads: str) -> dict[str, Any]:
    """Return a table's value."""
    return {"headers": [words.say(request, head) for head in heads], "data": [list(map(str, row)) for row in rows]}
