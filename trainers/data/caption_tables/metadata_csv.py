"""``metadata.csv``: comma-separated columns with a head, ``file_name`` and ``text`` among them."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainers.data.caption_tables._caption_table import NAME, CaptionTable, Row
from trainers.errors import UserError
from trainers.wording import count_of, listed


def _read(path: Path, text: str) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if NAME not in (columns := list(reader.fieldnames or ())):
            raise UserError(f"{path}: expected the columns file_name and text, found {listed(columns) or 'none'}.")
        for row in reader:
            if None in row:
                raise UserError(
                    f"{path}, line {reader.line_num}: it has more fields than the {count_of(len(columns), 'column')}. "
                    "Put a text with commas in quotes."
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: it cannot be read as CSV ({error}).") from error


def _write(rows: Sequence[Row]) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


CAPTION_TABLE = CaptionTable("metadata.csv", lambda name: name == "metadata.csv", _read, _write, same_columns=True)
