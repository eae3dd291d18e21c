"""Risograph: pink and teal ink in coarse grain, printed slightly apart on cream."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from ..brush import blank, finished, grain, paint, to_array, to_image
from ..colours import edge_colour
from ..layout import Layout
from ..tiles import VARIANTS, hatching
from .style import Style

PAPER = np.array((248, 242, 228), dtype=np.float32)
PINK = np.array((255, 72, 130), dtype=np.float32) / 255
TEAL = np.array((0, 110, 130), dtype=np.float32) / 255


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    image = paint(blank(size), layout.backdrop)
    paint(image, layout.things, edge=lambda patch: edge_colour(patch.base), edge_width=0.01)
    values = to_array(finished(image, size)) / 255
    slip = max(1, round(size * 0.012))
    warm = 1 - (0.15 * values[..., 0] + 0.6 * values[..., 1] + 0.25 * values[..., 2])
    cool = 1 - (0.75 * values[..., 0] + 0.25 * values[..., 1])
    cool = np.roll(cool, (slip, -slip), axis=(0, 1))
    screen = hatching(size, 8, 45, 0, 0) * hatching(size, 8, -45, 0, 0)
    noise = 0.03 * grain(size, variant)
    pink = np.clip((warm * 1.2 - 0.45 * screen + noise - 0.08) * 1.7, 0, 1)[..., None]
    teal = np.clip((cool * 1.15 - 0.35 * screen - noise - 0.12) * 1.9, 0, 1)[..., None]
    return to_image(PAPER * (1 - pink * (1 - PINK)) * (1 - teal * (1 - TEAL)))


STYLE = Style("risograph", draw, held_out=True)
