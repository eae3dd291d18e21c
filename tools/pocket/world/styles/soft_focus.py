"""Soft focus: blurred, glowing shapes in a bright haze, no lines."""

from __future__ import annotations

import random

from PIL import Image, ImageChops, ImageFilter

from ..brush import finished, paint
from ..colours import edge_colour
from ..layout import Layout
from .style import Style


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    canvas = Image.new("RGB", (size, size))
    ground = paint(canvas, layout.backdrop).filter(ImageFilter.BoxBlur(size / 40))
    image = ground.filter(ImageFilter.BoxBlur(size / 40))
    paint(image, layout.things, edge=lambda patch: edge_colour(patch.base), edge_width=0.006)
    near = image.filter(ImageFilter.BoxBlur(size / 140)).filter(ImageFilter.BoxBlur(size / 140))
    glow = near.filter(ImageFilter.BoxBlur(size / 16)).point(lambda value: value * 0.42)
    hazy = ImageChops.screen(near.point(lambda value: 20 + value * 0.86), glow)
    return finished(hazy, size)


STYLE = Style("soft_focus", draw)
