"""Sepia: an old brown photograph with dark corners and a pale border."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from ..brush import blank, finished, grain, noise, paint, to_array, to_image
from ..colours import edge_colour
from ..layout import Layout
from ..tiles import frozen
from .style import Style

DARK, LIGHT = np.array((40, 24, 12)), np.array((244, 222, 180))
BORDER = 0.045


@lru_cache(maxsize=4)
def vignette(size: int) -> np.ndarray:
    """Brightness float32 [size, size], 1 in the middle and 0.45 in the corners."""
    axis = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    return frozen(1 - 0.27 * (axis[:, None] + axis[None, :]) ** 1.2)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    image = paint(blank(size), layout.backdrop)
    paint(image, layout.things, edge=lambda patch: edge_colour(patch.base), edge_width=0.012)
    photo = finished(image, size).convert("L").filter(ImageFilter.BoxBlur(0.6))
    variant = rng.randrange(4)
    level = to_array(photo) / 255 * vignette(size) + 0.02 * grain(size, variant)
    level = 0.08 + 0.9 * level + 0.1 * (noise(size, 5, variant) - 0.5)
    edge = round(BORDER * size)
    framed = np.full((size, size), 0.97, dtype=np.float32)
    framed[edge:-edge, edge:-edge] = level[edge:-edge, edge:-edge]
    return to_image(DARK + (LIGHT - DARK) * framed[..., None])


STYLE = Style("sepia", draw)
