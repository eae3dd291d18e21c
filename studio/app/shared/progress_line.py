"""What the page says of work and its data: a line with a bar while there is something to count, problems, notes."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from studio.app.shared.field_names import on_page


def progress_line(text: str, done: int = 0, total: int = 0) -> str:
    """Return HTML; the text is escaped, and read out by screen readers as it changes.

    The bar comes with the first step: an empty one says nothing, and until then the sentence stands for itself.
    """
    told, lines = html.escape(text), html.escape(text).replace("\n", "<br>")
    bar = f'<progress style="width:100%" value="{done}" max="{total}" aria-label="{told}"></progress>' if done else ""
    return f'<div role="status" aria-live="polite">{lines}{bar}</div>'


def loading_line(event: Mapping[str, Any]) -> str:
    """Return HTML for a job's event that says what is being loaded, and nothing for every other event."""
    is_loading = event["event"] == "said" and event["text"].endswith("…")
    return progress_line(event["text"]) if is_loading else ""


def notes_html(title: str, notes: Iterable[str]) -> str:
    """Return HTML for sentences that are worth knowing, under a title; empty without any."""
    items = "".join(f"<li>{html.escape(on_page(note))}</li>" for note in notes)
    return f"<p>{html.escape(title)}</p><ul>{items}</ul>" if items else ""


def problem_line(text: str) -> str:
    """Return HTML for an error's sentence, which stays until the next attempt."""
    lines = "<br>".join(html.escape(line) for line in on_page(text).splitlines())
    return f'<div role="alert" class="studio-problem">{lines}</div>'
