"""``metadata.jsonl``: a JSON object a line, with ``file_name`` and ``text``, as Hugging Face's data sets have it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainers.data.caption_tables._caption_table import NAME, CaptionTable, Row, odd_row


def _read(path: Path, text: str) -> Iterator[tuple[int, Row]]:
    # Other ends of lines than \n, such as U+2028, may stand in a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row[NAME]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise odd_row(path, number, line) from error
        yield number, row


def _write(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


CAPTION_TABLE = CaptionTable("metadata.jsonl", lambda name: name == "metadata.jsonl", _read, _write)
