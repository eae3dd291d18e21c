"""Ink: fine black lines on white paper, no colour at all."""

from __future__ import annotations

import random

from PIL import Image

from ..brush import blank, finished, paint
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style

PAPER: RGB = (252, 250, 246)
INK: RGB = (20, 20, 26)


def inside(patch: Patch) -> RGB:
    """Paper everywhere but in the small dark details."""
    return INK if patch.role == "dark" else PAPER


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    image = paint(blank(size, PAPER), layout.backdrop, lambda _: PAPER, lambda _: INK, 0.004, hollow=True)
    paint(image, layout.things, inside, lambda _: INK, 0.01, hollow=True)
    return finished(image, size)


STYLE = Style("ink", draw)
