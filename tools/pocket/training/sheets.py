"""Contact sheets: pictures in a grid, to look at what a training has learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

LABEL_PX = 16


def write_sheet(pictures: np.ndarray, labels: Sequence[str], path: Path, columns: int, cell_px: int = 256) -> None:
    """Writes pictures, uint8 [n, h, w, 3], with a label under each, row by row."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * cell_px, rows * (cell_px + LABEL_PX)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = number % columns * cell_px, number // columns * (cell_px + LABEL_PX)
        image = Image.fromarray(picture)
        if image.width != cell_px:
            image = image.resize((cell_px, cell_px), Image.Resampling.LANCZOS)
        sheet.paste(image, (left, top))
        pen.text((left + 3, top + cell_px + 2), label, fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
