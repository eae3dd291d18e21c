"""Gradient: glossy shapes without lines that run smoothly from light above to deep below."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from ..brush import blank, coverage, finished, paint
from ..colours import lightness, mix, saturated
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style

DEEP: RGB = (36, 16, 72)


def above(patch: Patch) -> RGB:
    """Where the light falls."""
    share = 0.42 if patch.thing >= 0 else 0.3
    return mix(patch.colour, (255, 255, 250), share)


def below(patch: Patch) -> RGB:
    """Where it does not: violet shadow, but not so much that white things lose their colour."""
    share = 0.24 if lightness(patch.base) > 0.7 else 0.32
    return mix(saturated(patch.colour, 1.2), DEEP, share)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    light = finished(paint(blank(size), layout.patches, above), size)
    deep = finished(paint(blank(size), layout.patches, below), size)
    ramp = Image.linear_gradient("L")
    share = ramp.resize((size, size))
    for index in sorted({patch.thing for patch in layout.things}):
        patches = [patch for patch in layout.things if patch.thing == index]
        points = np.concatenate([patch.points for patch in patches]) * size
        left, top = np.floor(points.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(points.max(axis=0)).astype(int).tolist()
        mask = coverage(patches, size).reduce(2).crop((left, top, right, bottom))
        share.paste(ramp.resize((right - left, bottom - top)), (left, top), mask)
    return Image.composite(deep, light, share)


STYLE = Style("gradient", draw)
