"""What is told about a run before it starts, as HTML in which everything is escaped."""

from collections.abc import Mapping
from html import escape
from typing import Any

from studio.app.shared.field_names import on_page
from studio.app.shared.progress_line import notes_html


def problems_html(text: str, title: str = "") -> str:
    """Return an error's sentence, its listed problems as a list; empty for an empty text."""
    if not text:
        return ""
    headline, *problems = on_page(text).split("\n  - ")
    items = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    head = f"<strong>{escape(title)}</strong> " if title else ""
    return (
        f'<div class="studio-problem" role="alert">{head}{escape(headline)}{f"<ul>{items}</ul>" if items else ""}</div>'
    )


def preflight_html(preflight: Mapping[str, Any], ready: str, not_ready: str, notes: str) -> str:
    """Return a preflight as a table of facts with its problems and notes.

    Args:
        ready, not_ready: the sentence over a run that can start, and over one that cannot.
        notes: the heading of the notes.
    """
    parts = [problems_html("\n  - ".join([not_ready, *preflight["problems"]]))] if preflight["problems"] else []
    parts += [] if preflight["problems"] else [f'<p role="status">{escape(ready)}</p>']
    rows = "".join(
        f"<tr><th scope='row'>{escape(label)}</th><td>{escape(fact)}</td></tr>"
        for label, fact in preflight["facts"].items()
    )
    parts += [f"<table class='studio-facts'><tbody>{rows}</tbody></table>"] if rows else []
    return "".join([*parts, notes_html(notes, preflight["notes"])])
