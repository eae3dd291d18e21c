"""File formats of adapters, one file each: recognise, read, write."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.formats._format import Export, Format, Found
from trainers.errors import UserError
from trainers.registry import discover, find

if TYPE_CHECKING:
    from pipelines.formats._source import Source

__all__ = ["Export", "Format", "Found", "Source", "find_format", "formats", "open_source", "recognise"]


@functools.cache
def formats() -> Mapping[str, Format]:
    """Return every format by name."""
    return discover(sys.modules[__name__], "FORMAT")


def find_format(name: str) -> Format:
    """Return the format of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    return find("Format", name, formats())


def writable() -> list[str]:
    """Return the names of the formats that can be written or merged into, without loading torch."""
    return [name for name, found in formats().items() if found.write is not None or found.merge is not None]


def open_source(path: Path) -> Source:
    """Read a file or folder as far as every format needs it; see `pipelines.formats._source.open_source`.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    from pipelines.formats import _source

    return _source.open_source(path)


def recognise(source: Source) -> Format:
    """Return the format of a source.

    Raises:
        UserError: it is of none that can be read.
    """
    readable = sorted((f for f in formats().values() if f.read is not None), key=lambda f: f.order)
    found = next((f for f in readable if f.recognise(source)), None)
    if found is None:
        keys = [*list(source.tensors)[:3], *(key for _, own in source.folders.values() for key in list(own)[:3])]
        raise UserError(
            f"{source.path.name} is no adapter in a known format; its first keys are {', '.join(keys) or 'none'}. "
            f"Known: {', '.join(f.title for f in readable)}."
        )
    return found
