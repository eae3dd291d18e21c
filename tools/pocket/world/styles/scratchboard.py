"""Scratchboard: coloured things scratched in fine slanted lines out of black."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from ..brush import blank, blended, finished, paint, to_array
from ..colours import grey, lightness, mix
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from ..tiles import VARIANTS, hatching
from .style import Style

BOARD: RGB = (12, 12, 14)


def faint(patch: Patch) -> RGB:
    """Settings are scratched in grey."""
    return grey(0.12 + 0.5 * lightness(patch.colour))


def contour(patch: Patch) -> RGB | None:
    """The edges of the land are scratched brighter."""
    return grey(0.85) if patch.layer != "sky" else None


def lit(patch: Patch) -> RGB:
    """Things keep their colour, a little brighter."""
    return mix(patch.colour, (255, 255, 255), 0.1)


def line(patch: Patch) -> RGB:
    """The outline: bright, in the thing's hue."""
    return mix(patch.base, (255, 255, 255), 0.35)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    ground = finished(paint(blank(size), layout.backdrop, faint, contour, 0.006), size)
    things = finished(paint(blank(size), layout.things, lit), size)
    lines = finished(paint(blank(size), layout.things, lambda _: BOARD, line, 0.011), size)
    board = Image.new("RGB", (size, size), BOARD)
    strength = to_array(ground.convert("L")) / 255
    scratched = np.clip((strength - hatching(size, 8, 8, 1.8, variant)) * 3.5, 0, 1)
    image = blended(board, ground, scratched)
    solid = to_array(finished(paint(blank(size), layout.things, white, white), size))[..., 0] / 255
    image = blended(image, board, solid)
    scratched = np.clip((0.72 - hatching(size, 7, -52, 1, variant)) * 3.5, 0, 1)
    image = blended(image, things, scratched * solid)
    bright = np.clip(to_array(lines).max(axis=-1) / 60 - 0.4, 0, 1)
    return blended(image, lines, bright)


def white(_: Patch) -> RGB:
    """Marks where something is."""
    return 255, 255, 255


STYLE = Style("scratchboard", draw)
