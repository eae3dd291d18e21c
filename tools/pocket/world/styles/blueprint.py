"""Blueprint: white outlines and dimension lines on a blue grid."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw

from ..brush import blank, finished, paint, with_grain
from ..colours import mix
from ..layout import Layout
from ..shapes import RGB
from .style import Style

BLUE: RGB = (24, 74, 158)
WHITE: RGB = (240, 246, 255)
FAINT = mix(BLUE, WHITE, 0.42)
GRID, HEAVY_GRID = mix(BLUE, WHITE, 0.13), mix(BLUE, WHITE, 0.24)
CELLS = 20


def grid(image: Image.Image) -> None:
    """Squared paper, every fifth line heavier."""
    pen = ImageDraw.Draw(image)
    for index in range(CELLS + 1):
        place = index * image.width / CELLS
        colour = GRID if index % 5 else HEAVY_GRID
        pen.line((place, 0, place, image.width), fill=colour, width=2)
        pen.line((0, place, image.width, place), fill=colour, width=2)


def dimensions(image: Image.Image, points: np.ndarray) -> None:
    """Ticked lines left of and below the points [n, 2] in canvas units."""
    pen, size = ImageDraw.Draw(image), image.width
    left, top = (points.min(axis=0) * size).tolist()
    right, bottom = (points.max(axis=0) * size).tolist()
    x, y, tick = max(left - 0.04 * size, 8), min(bottom + 0.04 * size, size - 8), 0.012 * size
    for line in (
        (left, y, right, y),
        (left, y - tick, left, y + tick),
        (right, y - tick, right, y + tick),
        (x, top, x, bottom),
        (x - tick, top, x + tick, top),
        (x - tick, bottom, x + tick, bottom),
    ):
        pen.line(line, fill=FAINT, width=2)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    image = blank(size, BLUE)
    grid(image)
    backdrop = [patch for patch in layout.backdrop if patch.layer != "sky"]
    paint(image, backdrop, edge=lambda _: FAINT, fill=lambda _: None, edge_width=0.004)
    for index in sorted({patch.thing for patch in layout.things}):
        patches = [patch for patch in layout.things if patch.thing == index]
        paint(image, patches, lambda _: BLUE, lambda _: WHITE, 0.011, hollow=True)
        dimensions(image, np.concatenate([patch.points for patch in patches]))
    return with_grain(finished(image, size), 1.2, rng.randrange(4))


STYLE = Style("blueprint", draw, held_out=True)
