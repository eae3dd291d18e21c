"""Charcoal: smudged blacks and white chalk lights on grey paper."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageFilter

from ..brush import blank, finished, grain, paint, to_array, to_image, wobbled
from ..colours import grey, lightness
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style


def tone(patch: Patch) -> RGB:
    """Things span black to white, the setting stays dim."""
    level = lightness(patch.colour)
    return grey(level * 1.1 if patch.thing >= 0 else 0.36 + 0.34 * level)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    patches = [wobbled(patch, rng, 0.003) for patch in layout.patches]
    things = [patch for patch in patches if patch.thing >= 0]
    ground = [patch for patch in patches if patch.thing < 0]
    image = paint(blank(size), ground, tone, lambda _: grey(0.24), 0.008)
    soft = finished(paint(image, things, tone), size).filter(ImageFilter.BoxBlur(size / 100))
    crisp = finished(paint(image, things, tone, lambda _: grey(0.06), 0.022), size)
    level = 0.45 * to_array(soft)[..., 0] + 0.55 * to_array(crisp)[..., 0]
    rough = grain(size, rng.randrange(4), 24)
    level = level + rough * (6 + 9 * (np.abs(level - 128) / 128))
    return to_image(level[..., None] * np.array((1.0, 0.985, 0.96)))


STYLE = Style("charcoal", draw)
