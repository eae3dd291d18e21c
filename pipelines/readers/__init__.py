"""What other programs make of a file: one file per program, with its rule in our own words and code."""

import functools
import sys
from collections.abc import Mapping

from pipelines.readers._reader import Reader, Reading, Taken
from trainers.registry import discover, find

__all__ = ["Reader", "Reading", "Taken", "find_reader", "readers", "readers_of"]


@functools.cache
def readers() -> Mapping[str, Reader]:
    """Return every reader by name."""
    return discover(sys.modules[__name__], "READER")


def find_reader(name: str) -> Reader:
    """Return the reader of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    return find("Reader", name, readers())


def readers_of(format_name: str, family: str) -> list[Reader]:
    """Return the programs that are known to read files of a format for bases of a family."""
    return [reader for reader in readers().values() if format_name in reader.formats and family in reader.families]
