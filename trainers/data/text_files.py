"""Rows of a file of texts as they stand there: JSONL, JSON, CSV and TXT. What they mean is `trainers.data.text_forms`'.

JSON and JSONL are told apart by what is in the file, because half of the world calls either by the other's name.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.data.encoding import decode
from trainers.errors import UserError
from trainers.wording import count_of

ENDINGS = (".jsonl", ".json", ".csv", ".txt")
_LIMIT_BYTES = 4 << 30
_LIMIT_CELL_CHARACTERS = 1 << 30
_SPACE = re.compile(r"\s*")
_WRAPPING = "data"
"""The column that some put their rows into, as in ``{"data": [ … ]}``."""
RawRow = tuple[str, Mapping[str, Any]]
"""File and line, and columns with values."""


@dataclass(frozen=True)
class RawRows:
    """What a file of texts holds."""

    rows: Sequence[RawRow]
    beside: Sequence[str]
    """Names of what stands beside the rows."""
    encoding: str
    """As `trainers.data.encoding` names them."""


def raw_rows(path: Path) -> RawRows:
    """Return a file's rows; its encoding is told as that of every file is (`trainers.data.encoding.decode`).

    Raises:
        UserError: the file is too large, of an encoding that cannot be told, or broken (with the line).
    """
    if path.stat().st_size > _LIMIT_BYTES:
        raise UserError(f"{path} has more than {_LIMIT_BYTES:,} bytes, so it is not read.")
    content = path.read_bytes()
    try:
        read = decode(content)
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path.name} line {number} is not UTF-8. Save the file as UTF-8.") from error
    beside: list[str] = []
    name, ending = path.name, path.suffix.lower()
    if ending in (".json", ".jsonl"):
        whole = ending == ".json" or _is_no_line(read.text)
        found = _json(read.text, name, beside) if whole else _jsonl(read.text, name)
    else:
        found = _csv(read.text, name) if ending == ".csv" else _txt(read.text)
    return RawRows([(f"{name} {line}", row) for line, row in found], beside, read.encoding)


def _is_no_line(content: str) -> bool:
    """Return whether a file begins as one JSON value over many lines does, or as a list of rows."""
    first = content.lstrip().partition("\n")[0].rstrip()
    return first.startswith("[") or first == "{"


def _jsonl(content: str, name: str) -> Iterator[RawRow]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", "it is nested too deeply")
                raise UserError(f"{name} line {number} is not JSON: {reason}. It begins {line[:60]!r}.") from error
            yield f"line {number}", _mapping(row, f"{name} line {number}")


def _json(content: str, name: str, beside: list[str]) -> Iterator[RawRow]:
    """Yield the rows of a list, of a list that is wrapped, or of one object after another."""
    values = list(_json_values(content, name))
    alone = values[0][1] if len(values) == 1 else None
    if isinstance(alone, Mapping) and isinstance(alone.get(_WRAPPING), list):
        beside += [str(key) for key in alone if key != _WRAPPING]
        alone = alone[_WRAPPING]
    if isinstance(alone, list):
        for number, row in enumerate(alone, 1):
            yield f"row {number}", _mapping(row, f"{name} row {number}")
        return
    for line, row in values:
        yield f"line {line}", _mapping(row, f"{name} line {line}")


def _json_values(content: str, name: str) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of every JSON value in a file."""
    decoder, place, line = json.JSONDecoder(), 0, 1
    while True:
        start = _SPACE.match(content, place).end()  # type: ignore[union-attr]  # it matches nothing, too
        line += content.count("\n", place, start)
        if start == len(content):
            return
        try:
            value, place = decoder.raw_decode(content, start)
        except json.JSONDecodeError as error:
            raise UserError(f"{name} line {error.lineno} is not JSON: {error.msg}.") from error
        except RecursionError as error:
            raise UserError(f"{name} is not JSON: it is nested too deeply.") from error
        yield line, value
        line += content.count("\n", start, place)


def _csv(content: str, name: str) -> Iterator[RawRow]:
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    usual = csv.field_size_limit(_LIMIT_CELL_CHARACTERS)  # else a text of 131,073 characters would be an error
    try:
        for row in reader:
            where = f"line {reader.line_num}"
            if None in row or None in row.values():
                found = sum(value is not None for key, value in row.items() if key is not None)
                found += len(row.get(None, ()))
                raise UserError(
                    f"{name} {where} has {count_of(found, 'cell')}, and the header names "
                    f"{len(reader.fieldnames or ())}."
                )
            yield where, row
    except csv.Error as error:
        raise UserError(f"{name} line {reader.reader.line_num} is not CSV: {error}.") from error
    finally:
        csv.field_size_limit(usual)


def _txt(content: str) -> Iterator[RawRow]:
    """Yield paragraphs: what stands between empty lines."""
    first, lines = 1, list[str]()
    for number, line in enumerate([*content.replace("\r\n", "\n").split("\n"), ""], 1):
        if line.strip():
            first = number if not lines else first
            lines.append(line)
        elif lines:
            yield f"line {first}", {"text": "\n".join(lines)}
            lines = []


def _mapping(row: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise UserError(f'{where} must be named values, such as {{"text": …}}, not {type(row).__name__}.')
    return row
