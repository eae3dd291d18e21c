"""Where a grid keeps its pictures, so that it goes on where it was stopped.

A picture's name is a digest of all that it depends on: the base, the adapters' contents, and the request.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pipelines.compare.grid import Cell
from pipelines.picture_file import write_picture
from trainers.errors import UserError
from trainers.storage import read_json, write_json

INDEX_NAME = "index.json"


@dataclass(frozen=True)
class PictureStore:
    """A folder of pictures."""

    folder: Path
    base: Mapping[str, Any]
    """Facts of the base: ``name``, ``family``, ``fingerprint`` and ``sampler``."""
    hashes: Mapping[str, str]
    """Adapter -> content hash."""

    def path(self, cell: Cell) -> Path:
        """Return where a cell's picture lies, whether it is there or not."""
        request = asdict(cell.request)
        recipe = cell.request.recipe
        request["recipe"] = recipe.model_dump(mode="json") if recipe is not None else None
        names = [*cell.request.weights, *(item.adapter for item in recipe.inputs)] if recipe else cell.request.weights
        contents = {name: self.hashes[name] for name in names}
        values = {"base": [self.base["fingerprint"], self.base["sampler"]], "request": request, "contents": contents}
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{digest[:24]}.png"

    def read(self, cell: Cell) -> Image.Image | None:
        """Return a cell's picture; None when it is not there, or does not open."""
        try:
            with Image.open(self.path(cell), formats=("PNG",)) as picture:
                return picture.convert("RGB")
        except (OSError, ValueError):
            return None

    def write(self, cell: Cell, picture: Image.Image) -> None:
        """Keep a picture."""
        write_picture(self.path(cell), picture, cell.request, self.base)


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
