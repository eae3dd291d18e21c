"""Felt pen: thick outlines in each thing's own colour on white, nothing filled."""

from __future__ import annotations

import random

from PIL import Image

from ..brush import blank, finished, paint, wobbled
from ..colours import BLACK, lightness, mix
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style

PAPER: RGB = (255, 255, 255)


def pen(patch: Patch) -> RGB:
    """The pen's colour; very light ones are darkened until they show on white."""
    colour = patch.base
    return mix(colour, BLACK, 0.18) if lightness(colour) > 0.8 else colour


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    backdrop = [wobbled(patch, rng, 0.003) for patch in layout.backdrop if patch.layer != "sky"]
    image = paint(blank(size, PAPER), backdrop, lambda _: PAPER, pen, 0.009, hollow=True)
    things = [wobbled(patch, rng, 0.002) for patch in layout.things]
    paint(image, things, lambda _: PAPER, pen, 0.022, hollow=True)
    return finished(image, size)


STYLE = Style("felt_pen", draw)
