"""Rows of a data set as the model will see them in training; the command line and the page show them their own way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipelines.families import TextBase
from studio.runs.kinds.text.work import load_base_of, read_training_texts
from trainers.config import parse_config
from trainers.data.chat import Encoded
from trainers.errors import UserError
from trainers.stages import make_task
from trainers.text_config import TextConfig
from trainers.wording import count_of

_BINS = 12


@dataclass(frozen=True)
class PreviewPiece:
    """Some tokens in a row that are all learned from, or all not."""

    text: str
    """With special tokens written out."""
    trained: bool
    tokens: int


@dataclass(frozen=True)
class PreviewRow:
    """One row after the chat template."""

    where: str
    """File and line."""
    mark: str
    """Which answer of a pair it is: chosen or rejected; empty where a row has one example."""
    pieces: tuple[PreviewPiece, ...]

    @property
    def tokens(self) -> int:
        """How many tokens it has."""
        return sum(piece.tokens for piece in self.pieces)

    @property
    def trained_tokens(self) -> int:
        """How many of them are learned from."""
        return sum(piece.tokens for piece in self.pieces if piece.trained)


@dataclass(frozen=True)
class TextPreview:
    """What a data set looks like to a base."""

    facts: Mapping[str, str]
    notes: Sequence[str]
    rows: Sequence[PreviewRow]
    histogram: Sequence[tuple[int, int, int]]
    """(fewest tokens, most tokens, number of examples), rising; of all examples, before anything is cut."""
    count: int
    """Of the rows that are learned from; those of pairs have two examples each."""
    per_row: int
    """Examples of one row."""


def preview_texts(
    values: Mapping[str, Any],
    *,
    rows: int = 3,
    first: int = 0,
    load: Callable[[TextConfig], TextBase] = load_base_of,
) -> TextPreview:
    """Return some rows as training with these settings would see them.

    Args:
        values: plain settings of a run on texts; `data` is enough.
        rows: how many; of a pair both answers are shown.
        first: from which row on.
        load: gives the base; another than `load_base_of` where one is loaded already.

    Raises:
        UserError: the settings, the data or the base cannot be used. Rows that are too long are shown cut, and noted.
    """
    if rows < 0 or first < 0:
        raise UserError(f"{count_of(rows, 'row')} from row {first} on cannot be shown; neither can be below 0.")
    config = parse_config({"name": "preview", **values, "cut_long": True}, TextConfig)
    texts = read_training_texts(config)
    base = load(config)
    task = make_task(config, base, texts.training.rows)
    per_row = len(task.marks)
    count = len(task.examples) // per_row
    if rows and first >= count > 0:
        raise UserError(f"There is no row {first + 1:,}: the data has {count:,}. Begin at one of these.")
    wanted = range(first * per_row, min((first + rows) * per_row, len(task.examples)))
    shown = [
        PreviewRow(task.places[n], task.marks[n % per_row], pieces_of(task.examples[n], base.tokenizer)) for n in wanted
    ]
    facts = {**texts.facts(), **task.facts()}
    return TextPreview(facts, [*texts.notes(), *task.notes], shown, histogram(task.lengths), count, per_row)


def pieces_of(one: Encoded, tokenizer: Any) -> tuple[PreviewPiece, ...]:
    """Return an example as runs of tokens that are learned from or not."""
    found = []
    for trained, pairs in groupby(zip(one.trained, one.numbers, strict=True), key=lambda pair: pair[0]):
        numbers = [number for _, number in pairs]
        text = tokenizer.decode(numbers, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        found.append(PreviewPiece(text, trained, len(numbers)))
    return tuple(found)


def histogram(lengths: Sequence[int], bins: int = _BINS) -> list[tuple[int, int, int]]:
    """Return (fewest, most, how many) of equal ranges over all lengths."""
    low, high = min(lengths), max(lengths)
    width = max(1, -(-(high - low + 1) // bins))
    starts = range(low, high + 1, width)
    return [(start, start + width - 1, sum(start <= n < start + width for n in lengths)) for start in starts]
