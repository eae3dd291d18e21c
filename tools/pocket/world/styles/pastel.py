"""Pastel: pale chalky colours without outlines on grainy paper."""

from __future__ import annotations

import random

from PIL import Image, ImageFilter

from ..brush import blank, finished, paint, with_grain
from ..colours import mix
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style

WHITE: RGB = (255, 252, 248)


def pale_ground(patch: Patch) -> RGB:
    """Settings fade most of the way to white."""
    return mix(patch.colour, WHITE, 0.62)


def pale(patch: Patch) -> RGB:
    """Things keep enough colour to be told apart."""
    return mix(patch.colour, WHITE, 0.3)


def rim(patch: Patch) -> RGB:
    """A soft rim, barely darker, that keeps white things visible."""
    return mix(mix(patch.base, (120, 110, 130), 0.35), WHITE, 0.35)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    image = paint(blank(size, WHITE), layout.backdrop, pale_ground)
    image = finished(paint(image, layout.things, pale, rim, 0.006), size)
    image = image.filter(ImageFilter.BoxBlur(0.7))
    return with_grain(image, 9, rng.randrange(4))


STYLE = Style("pastel", draw)
