"""Oil: short thick brush strokes with relief, following a swirling direction."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from ..brush import blank, finished, paint, to_array, to_image
from ..colours import edge_colour, saturated
from ..layout import Layout
from ..tiles import VARIANTS, brush_strokes, cell_means, frozen
from .style import Style


@lru_cache(maxsize=VARIANTS)
def tints(variant: int, count: int) -> np.ndarray:
    """Colour offsets of the strokes, float64 [count, 3]."""
    generator = np.random.default_rng(variant + 3)
    return frozen(generator.normal(0, 13, (count, 1)) + generator.normal(0, 7, (count, 3)))


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    image = paint(blank(size), layout.backdrop, lambda patch: saturated(patch.colour, 1.25))
    paint(image, layout.things, edge=lambda patch: edge_colour(patch.base), edge_width=0.012)
    values = to_array(finished(image, size))
    labels, relief = brush_strokes(size, variant)
    means = cell_means(values, labels)
    painted = (means + tints(variant, len(means)))[labels]
    mixed = painted * 0.72 + values * 0.28
    return to_image(mixed * relief[..., None]).filter(ImageFilter.SMOOTH)


STYLE = Style("oil", draw)
