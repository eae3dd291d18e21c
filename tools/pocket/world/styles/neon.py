"""Neon: glowing coloured tubes on black."""

from __future__ import annotations

import random

from PIL import Image, ImageChops, ImageFilter

from ..brush import blank, finished, paint
from ..colours import lightness, mix, saturated
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style

NIGHT: RGB = (9, 6, 18)
BLACK_LIGHT: RGB = (96, 92, 112)


def tube(patch: Patch) -> RGB:
    """A lamp in the thing's colour; a black thing's is dim."""
    if lightness(patch.base) < 0.2:
        return BLACK_LIGHT
    return mix(saturated(patch.base, 1.5), (255, 255, 255), 0.14)


def distant(patch: Patch) -> RGB:
    """The setting's tubes are dim."""
    return mix(NIGHT, saturated(patch.colour, 2.2), 0.46)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    backdrop = [patch for patch in layout.backdrop if patch.layer != "sky"]
    image = paint(blank(size, NIGHT), backdrop, lambda _: NIGHT, distant, 0.007, hollow=True)
    paint(image, layout.things, lambda _: NIGHT, tube, 0.014, hollow=True)
    tubes = finished(image, size)
    light = ImageChops.subtract(tubes, Image.new("RGB", tubes.size, NIGHT))
    near = light.filter(ImageFilter.BoxBlur(size / 85)).filter(ImageFilter.BoxBlur(size / 85))
    far = near.filter(ImageFilter.BoxBlur(size / 24)).filter(ImageFilter.BoxBlur(size / 24))
    glow = ImageChops.add(near.point(lambda v: v * 1.1), far.point(lambda v: v * 0.8))
    core = tubes.point(lambda v: min(255, v * 1.06))
    return ImageChops.screen(core, glow)


STYLE = Style("neon", draw, held_out=True)
