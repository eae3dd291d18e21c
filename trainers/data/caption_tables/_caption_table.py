"""What the file of a kind of table states."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.errors import UserError

Row = dict[str, Any]
"""One picture's columns, as the file has them."""
NAME, COLUMNS = "file_name", ("text", "caption")
"""The column of the pictures' file names, and those that may hold the captions."""
_ROW = '{"file_name": …, "text": …}'


@dataclass(frozen=True)
class CaptionTable:
    """One kind of table of captions, as facts."""

    name: str
    recognise: Callable[[str], bool]
    """Whether a file in a folder of pictures is such a table, by its name."""
    read: Callable[[Path, str], Iterator[tuple[int, Row]]]
    """(path, for errors; content) -> rows with their line numbers. Each must have a ``file_name``; nothing else of it
    has to be checked. Raises `UserError` where the content is of another form."""
    write: Callable[[Sequence[Row]], str]
    """Rows -> content."""
    same_columns: bool = False
    """Whether all rows have the same columns, so that a new row has its caption where the first has it."""


def odd_row(path: Path, number: int, line: str) -> UserError:
    """Return the error that tells of a row which has no file name and text."""
    return UserError(f"{path}, line {number}: expected {_ROW}, found {line[:80]!r}.")
