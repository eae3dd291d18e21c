"""A table of captions beside pictures, of whatever kind, read, checked and changed. Needs no torch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainers.data.caption_tables import COLUMNS, NAME, CaptionTable, Row, odd_row, table_kind
from trainers.data.encoding import read_text
from trainers.data.listing import composed
from trainers.data.plain_text import plain_text
from trainers.errors import UserError
from trainers.wording import listed


@dataclass(frozen=True)
class Table:
    """The captions of one file."""

    path: Path
    encoding: str
    captions: Mapping[str, str]
    """By file name, as the file writes it."""
    unused: tuple[str, ...]
    """Columns that are not read."""

    def names_of(self, picture: Path, folders: int = 0) -> list[str]:
        """Return the file names, as written, that mean a picture.

        A name may have folders in front, with either slash, as far as the picture lies in folders of these names.

        Args:
            folders: how many folders a name must have in front at least.
        """
        parts = _parts(picture.absolute().as_posix())
        ends = (parts[-length:] for length in range(folders + 1, len(parts) + 1))
        return [name for end in ends for name in self._by_parts.get(end, ())]

    @cached_property
    def _by_parts(self) -> dict[tuple[str, ...], list[str]]:
        found: dict[tuple[str, ...], list[str]] = {}
        for name in self.captions:
            found.setdefault(_parts(name), []).append(name)
        return found

    def changed(self, captions: Mapping[str, str]) -> str:
        """Return the file's content with other captions, by file name as written; new names are added, all else stays.

        Raises:
            UserError: the file cannot be read any more.
        """
        left = dict(captions)
        rows = [row for _, row in _rows(self.path, read_text(self.path).text)]
        for row in rows:
            if row[NAME] in captions:
                row[_column(row) or COLUMNS[0]] = captions[row[NAME]]
                left.pop(row[NAME], None)
        kind = _kind(self.path)
        column = (_column(rows[0]) if rows and kind.same_columns else None) or COLUMNS[0]
        return kind.write([*rows, *({NAME: name, column: text} for name, text in left.items())])


def read_table(path: Path) -> Table:
    """Read a table such as ``metadata.jsonl``: a row ``file_name`` and ``text`` (or ``caption``) per picture.

    Raises:
        UserError: a row cannot be read or lacks a column, or two rows about a picture disagree.
    """
    content = read_text(path)
    captions: dict[str, str] = {}
    unused: dict[str, None] = {}
    for number, row in _rows(path, content.text):
        column = _column(row)
        if column is None:
            raise UserError(
                f"{path}, line {number}: it has no text or caption; it has {listed(map(str, row))}. Call the column "
                "that holds the captions text."
            )
        name, caption = row[NAME], row[column]
        if not isinstance(name, str) or not isinstance(caption, str):
            raise odd_row(path, number, json.dumps(row, ensure_ascii=False))
        plain_text(name, f"{path.name} line {number}: file_name")
        plain_text(caption, f"{path.name} line {number}: {name}")
        if captions.setdefault(name, caption) != caption:
            raise UserError(f"{path}, line {number}: {name} has another caption in an earlier line. Keep one of them.")
        unused |= dict.fromkeys(str(key) for key in row if key not in (NAME, column))
    return Table(path, content.encoding, captions, tuple(unused))


def _rows(path: Path, text: str) -> Iterator[tuple[int, Row]]:
    """Return the rows with their line numbers; all have a file name, and none is checked further."""
    return _kind(path).read(path, text)


def _kind(path: Path) -> CaptionTable:
    kind = table_kind(path.name)
    assert kind is not None, f"{path.name} is a table by the listing of its folder"
    return kind


def _column(row: Mapping[str, Any]) -> str | None:
    return next((column for column in COLUMNS if column in row), None)


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in composed(name).replace("\\", "/").split("/") if part not in ("", "."))
