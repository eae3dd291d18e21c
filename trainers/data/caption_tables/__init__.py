"""Tables of captions that lie beside pictures, one file each. Needs no torch."""

import functools
import sys
from collections.abc import Mapping

from trainers.data.caption_tables._caption_table import COLUMNS, NAME, CaptionTable, Row, odd_row
from trainers.registry import discover

__all__ = ["COLUMNS", "NAME", "CaptionTable", "Row", "caption_tables", "odd_row", "table_kind"]


@functools.cache
def caption_tables() -> Mapping[str, CaptionTable]:
    """Return every kind of table by name."""
    return discover(sys.modules[__name__], "CAPTION_TABLE")


def table_kind(file_name: str) -> CaptionTable | None:
    """Return the kind of table that a file is by its name; None where it is none."""
    return next((kind for kind in caption_tables().values() if kind.recognise(file_name)), None)
