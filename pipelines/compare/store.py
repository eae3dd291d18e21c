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
from pipelines.image_file import write_image
from pipelines.samplers import AUTO


@dataclass(frozen=True)
class ImageStore:
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
        if request["sampler"] == AUTO:
            del request["sampler"]  # as before there was a choice: the same picture keeps its name
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
        write_image(self.path(cell), picture, cell.request, self.base)
