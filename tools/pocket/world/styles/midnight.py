"""Midnight: bright shapes with a thin light rim before a setting sunk into near-black."""

from __future__ import annotations

import random

from PIL import Image

from ..brush import blank, finished, paint
from ..colours import mix
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style

DARK: RGB = (10, 10, 22)


def sunk(patch: Patch) -> RGB:
    """The setting's colour with little light on it."""
    return mix(patch.colour, DARK, 0.84)


def rim(patch: Patch) -> RGB:
    """A light line in the thing's own hue."""
    return mix(patch.base, (255, 255, 255), 0.55)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    image = paint(blank(size, DARK), layout.backdrop, sunk)
    return finished(paint(image, layout.things, edge=rim, edge_width=0.007), size)


STYLE = Style("midnight", draw)
