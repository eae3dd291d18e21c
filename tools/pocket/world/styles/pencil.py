"""Pencil: grey lines and hatching on white paper, darker where the colour is darker."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from ..brush import blank, finished, grain, paint, to_array, to_image, wobbled
from ..colours import grey, lightness, mix
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from ..tiles import VARIANTS, hatching
from .style import Style


def tone(patch: Patch) -> RGB:
    """Lightness as grey, the setting faint."""
    level = lightness(patch.colour)
    return grey(level if patch.thing >= 0 else 0.55 + 0.45 * level)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    tones = finished(paint(blank(size), layout.patches, tone), size)
    level = to_array(tones)[..., 0] / 255
    first = np.clip((0.92 - level - 0.9 * hatching(size, 7.5, -45, 0.7, variant)) * 2.2, 0, 1)
    second = np.clip((0.66 - level - 0.55 * hatching(size, 7.5, 40, 0.7, variant)) * 2.2, 0, 1)
    shade = np.maximum(first * 0.7, second * 0.85) * (0.85 + 0.06 * grain(size, variant))
    backdrop = [wobbled(patch, rng, 0.003) for patch in layout.backdrop]
    lines = paint(blank(size, (255, 255, 255)), backdrop, white, lambda _: grey(0.62), 0.005, hollow=True)
    things = [wobbled(patch, rng, 0.002) for patch in layout.things]
    paint(
        lines,
        things,
        white,
        lambda patch: mix(grey(0.25), grey(0.4), patch.width),
        0.01,
        hollow=True,
    )
    outline = to_array(finished(lines, size))[..., 0] / 255
    paper = 250 + 2 * grain(size, variant)
    return to_image((paper * (1 - shade) * outline + 40 * shade)[..., None].repeat(3, axis=2))


def white(_: Patch) -> RGB:
    """Bare paper."""
    return 255, 255, 255


STYLE = Style("pencil", draw)
