"""Tables of captions beside pictures, ``metadata.jsonl`` and ``metadata.csv``, read and written. Needs no torch."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainers.data.encoding import read_text
from trainers.data.listing import composed
from trainers.data.plain_text import plain_text
from trainers.errors import UserError
from trainers.wording import count_of, listed

_NAME, _COLUMNS = "file_name", ("text", "caption")
_ROW = '{"file_name": …, "text": …}'


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
            if row[_NAME] in captions:
                row[_column(row) or _COLUMNS[0]] = captions[row[_NAME]]
                left.pop(row[_NAME], None)
        has_header = self.path.suffix == ".csv"
        column = (_column(rows[0]) if rows and has_header else None) or _COLUMNS[0]
        rows += [{_NAME: name, column: text} for name, text in left.items()]
        if not has_header:
            return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        written = io.StringIO()
        writer = csv.DictWriter(written, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return written.getvalue()


def read_table(path: Path) -> Table:
    """Read ``metadata.jsonl`` or ``metadata.csv``: a row ``file_name`` and ``text`` (or ``caption``) per picture.

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
        name, caption = row[_NAME], row[column]
        if not isinstance(name, str) or not isinstance(caption, str):
            raise _odd(path, number, json.dumps(row, ensure_ascii=False))
        plain_text(name, f"{path.name} line {number}: file_name")
        plain_text(caption, f"{path.name} line {number}: {name}")
        if captions.setdefault(name, caption) != caption:
            raise UserError(f"{path}, line {number}: {name} has another caption in an earlier line. Keep one of them.")
        unused |= dict.fromkeys(str(key) for key in row if key not in (_NAME, column))
    return Table(path, content.encoding, captions, tuple(unused))


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Return the rows with their line numbers; all have a file name, and none is checked further."""
    return _json_rows(path, text) if path.suffix == ".jsonl" else _csv_rows(path, text)


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    # Other ends of lines than \n, such as U+2028, may stand in a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row[_NAME]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _odd(path, number, line) from error
        yield number, row


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if _NAME not in (columns := list(reader.fieldnames or ())):
            raise UserError(f"{path}: expected the columns file_name and text, found {listed(columns) or 'none'}.")
        for row in reader:
            if None in row:
                raise UserError(
                    f"{path}, line {reader.line_num}: it has more fields than {count_of(len(columns), 'column')}. Put "
                    "a text with commas in quotes."
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: it cannot be read as CSV ({error}).") from error


def _column(row: Mapping[str, Any]) -> str | None:
    return next((column for column in _COLUMNS if column in row), None)


def _odd(path: Path, number: int, line: str) -> UserError:
    return UserError(f"{path}, line {number}: expected {_ROW}, found {line[:80]!r}.")


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in composed(name).replace("\\", "/").split("/") if part not in ("", "."))
