"""Answers of a base, of adapters and of blends side by side, with how well each foresees held-out texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.perplexity import Perplexity, perplexity
from pipelines.text_generate import Answer, TextRequest, generate_texts
from studio.library.library import parse_adapters
from studio.operations.text_session import TextSession
from trainers.data.texts import HELD_OUT, TextData, TextRow, read_texts
from trainers.errors import UserError
from trainers.paths import path_of

BASE = "base"
_FORESEEN = ("messages", "prompt_completion", "alpaca", "text")


@dataclass(frozen=True)
class TextColumn:
    """One thing that is compared."""

    title: str
    weights: Mapping[str, float]


@dataclass(frozen=True)
class TextComparison:
    """What was found."""

    columns: tuple[TextColumn, ...]
    answers: tuple[tuple[Answer, ...], ...]
    """[request][column]"""
    perplexities: tuple[Perplexity, ...] | None
    """By column; None where no held-out texts were given."""


def columns_of(adapters: Sequence[str], blends: Sequence[str]) -> list[TextColumn]:
    """Return the base, each adapter (``NAME:WEIGHT``), and each blend (``a:0.5+b:0.5``) as columns.

    Raises:
        UserError: a weight is no number, or a column is given twice.
    """
    columns = [TextColumn(BASE, {})]
    columns += [TextColumn(text, parse_adapters([text])) for text in adapters]
    columns += [TextColumn(text, parse_adapters(text.split("+"))) for text in blends]
    titles = [column.title for column in columns]
    twice = [title for title in titles if titles.count(title) > 1]
    if twice:
        raise UserError(f"The column {twice[0]!r} is given twice.")
    return columns


def compare_texts(
    session: TextSession,
    columns: Sequence[TextColumn],
    requests: Sequence[TextRequest],
    *,
    held_out: Sequence[TextRow] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> TextComparison:
    """Answer every request in every column, with the same prompt, seed and sampling; measure held-out texts.

    Raises:
        UserError: an adapter is not attached, or a prompt is too long.
    """
    total = len(columns) * (len(requests) + (1 if held_out else 0))
    asked = [replace(request, weights=column.weights, recipe=None) for request in requests for column in columns]
    found: dict[int, Answer] = {}
    for number, answer in generate_texts(session.attachments, asked):
        found[number] = answer
        on_progress(len(found), total)
    measured: list[Perplexity] = []
    for column in columns if held_out else ():
        measured.append(perplexity(session.attachments, held_out or (), column.weights))
        on_progress(len(found) + len(measured), total)
    width = len(columns)
    rows = tuple(tuple(found[start + n] for n in range(width)) for start in range(0, len(asked), width))
    return TextComparison(tuple(columns), rows, tuple(measured) if held_out else None)


def read_held_out(path: str) -> TextData:
    """Read texts to measure on: a file, or a folder with ``held_out.jsonl``.

    Raises:
        UserError: the file cannot be used, or is of a form that has no texts to foresee.
    """
    data = read_texts(path_of(path), HELD_OUT, _FORESEEN)
    if data.form.name not in _FORESEEN:
        raise UserError(
            f"{data.path} holds {data.form.title}; chats, prompts with completions or plain texts are needed."
        )
    return data
