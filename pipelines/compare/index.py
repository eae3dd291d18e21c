"""Which picture of a drawn grid is which, as voting needs it. Read without loading torch."""

from dataclasses import asdict, dataclass
from pathlib import Path

from trainers.errors import UserError
from trainers.storage import read_json, write_json

INDEX_NAME = "index.json"


@dataclass(frozen=True)
class Entry:
    """One cell of a drawn grid, as voting needs it."""

    file: str
    """Name of the picture in the folder."""
    look: str
    prompt: str
    seed: int
    setting: str


def write_index(folder: Path, entries: list[Entry]) -> None:
    """Say which picture is which."""
    write_json(folder / INDEX_NAME, {"cells": [asdict(entry) for entry in entries]})


def read_index(folder: Path) -> list[Entry]:
    """Return what `write_index` wrote.

    Raises:
        UserError: there is none, or it is broken.
    """
    try:
        entries = [Entry(**values) for values in read_json(folder / INDEX_NAME, "grid's index")["cells"]]
    except (TypeError, KeyError) as error:
        raise UserError(f"The grid's index {folder / INDEX_NAME} is broken: {error}.") from error
    outside = [entry.file for entry in entries if Path(entry.file).name != entry.file]
    if outside:
        raise UserError(f"The grid's index {folder / INDEX_NAME} names {outside[0]!r}, which is not a file beside it.")
    return entries
