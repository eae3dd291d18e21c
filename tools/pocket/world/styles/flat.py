"""Flat: clean filled shapes with a thin darker outline. The plain default."""

from __future__ import annotations

import random

from PIL import Image

from ..brush import blank, finished, paint
from ..colours import edge_colour
from ..layout import Layout
from .style import Style


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    image = paint(blank(size), layout.backdrop)
    paint(image, layout.things, edge=lambda patch: edge_colour(patch.base), edge_width=0.008)
    return finished(image, size)


STYLE = Style("flat", draw)
