"""Pixel art: big square pixels in few colours with dark outlines."""

from __future__ import annotations

import random

from PIL import Image

from ..brush import blank, finished, paint
from ..colours import edge_colour, mix
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style

PIXELS = 52
STEPS = 7


def stepped(channel: int) -> int:
    """A channel rounded to one of eight levels."""
    return round(channel / 255 * STEPS) * 255 // STEPS


def outline(patch: Patch) -> RGB:
    """Nearly black."""
    return mix(edge_colour(patch.base), (0, 0, 0), 0.35)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    image = paint(blank(size), layout.backdrop)
    paint(image, layout.things, edge=outline, edge_width=0.02)
    small = finished(image, size).resize((PIXELS, PIXELS), Image.Resampling.BOX).point(stepped)
    side = -(-size // PIXELS) * PIXELS
    return small.resize((side, side), Image.Resampling.NEAREST).crop((0, 0, size, size))


STYLE = Style("pixel_art", draw, held_out=True)
