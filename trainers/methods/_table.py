"""The table of methods: what fits which kind of part, what merges, what plain PEFT loads, and why where it does not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainers.method import Method

MERGE, PEFT = "merge", "plain PEFT"
_NO_TUNER = "PEFT has no such tuner; its file needs this project"
YES, NO = "yes", "–"


@dataclass(frozen=True)
class Table:
    """Cells as text, a dash with the number of its footnote, and the footnotes in order."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def table_of(methods: Iterable[Method]) -> Table:
    """Return the table of some methods; a reason that several dashes share is one footnote."""
    chosen = list(methods)
    kinds = list(dict.fromkeys(kind for method in chosen for kind in method.kinds))
    reasons = [[_reason(method, column) for column in (*kinds, MERGE, PEFT)] for method in chosen]
    notes = list(dict.fromkeys(reason for row in reasons for reason in row if reason is not None))
    rows = [
        (method.name, *(_cell(reason, notes) for reason in row), method.title)
        for method, row in zip(chosen, reasons, strict=True)
    ]
    return Table(("method", *kinds, MERGE, PEFT, "title"), tuple(rows), tuple(notes))


def as_text(table: Table) -> str:
    """Return a table for a terminal."""
    widths = [max(map(len, column)) for column in zip(table.columns, *table.rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in _all(table)
    ]
    return "\n".join([*lines, "", *(f"{_number(number)} {note}." for number, note in enumerate(table.notes, 1))])


def as_markdown(table: Table) -> str:
    """Return a table for a document."""
    head, *body = ["| " + " | ".join(row) + " |" for row in _all(table)]
    notes = (f"{_number(number)} {note}." for number, note in enumerate(table.notes, 1))
    return "\n".join([head, "|---" * len(table.columns) + "|", *body, "", "  \n".join(notes)])


def _all(table: Table) -> Sequence[tuple[str, ...]]:
    return [table.columns, *table.rows]


def _reason(method: Method, column: str) -> str | None:
    """Return why a cell is a dash, or None where it is not; empty where nobody gave a reason."""
    if column == MERGE:
        return None if method.mergeable else method.merges_not
    if column == PEFT:
        return _NO_TUNER if method.needs_studio else None
    reasons = {str(kind): reason for kind, reason in method.lacks.items()}
    return None if column in method.kinds else reasons.get(column, "")


def _cell(reason: str | None, notes: Sequence[str]) -> str:
    return YES if reason is None else f"{NO} {_number(notes.index(reason) + 1)}"


def _number(number: int) -> str:
    return f"({number})"
