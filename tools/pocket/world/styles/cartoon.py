"""Cartoon: thick black outlines, strong colours, everything outlined."""

from __future__ import annotations

import random

from PIL import Image

from ..brush import blank, finished, paint
from ..colours import grey, mix, saturated
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style


def strong(patch: Patch) -> RGB:
    """Shadows vanish, hues gain."""
    colour = patch.base if patch.role == "shade" else patch.colour
    return saturated(mix(colour, (255, 255, 255), 0.06), 1.25)


def vivid(patch: Patch) -> RGB:
    """The setting, much more colourful than it is."""
    return saturated(patch.colour, 1.7)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    black = (8, 8, 10)
    image = paint(blank(size), layout.backdrop, vivid, lambda _: black, 0.01)
    # A light rim outside the black line keeps black things apart from a night sky.
    paint(image, layout.things, lambda _: grey(1), lambda _: grey(1), 0.036)
    paint(image, layout.things, strong, lambda _: black, 0.017)
    return finished(image, size)


STYLE = Style("cartoon", draw)
