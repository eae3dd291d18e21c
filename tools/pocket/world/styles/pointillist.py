"""Pointillist: everything in round dots of slightly varied colour on cream."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image

from ..brush import blank, finished, paint, to_array, to_image
from ..colours import edge_colour
from ..layout import Layout
from ..tiles import VARIANTS, cell_means, frozen, stones
from .style import Style

GROUND = np.array((246, 238, 220), dtype=np.float32)
ACROSS = 38


@lru_cache(maxsize=VARIANTS)
def speckle(variant: int) -> np.ndarray:
    """Colour offsets of the dots, float64 [dots, 3]."""
    generator = np.random.default_rng(variant)
    count = (ACROSS + 2) ** 2
    return frozen(generator.normal(0, 12, (count, 3)) + generator.normal(0, 12, (count, 1)))


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    image = paint(blank(size), layout.backdrop)
    paint(image, layout.things, edge=lambda patch: edge_colour(patch.base), edge_width=0.008)
    labels, _, distance = stones(size, ACROSS, variant)
    means = cell_means(to_array(finished(image, size)), labels)
    colours = (means + speckle(variant)[: len(means)])[labels]
    dot = np.clip(3.5 - distance, 0, 1)[..., None]
    return to_image(GROUND + (colours - GROUND) * dot)


STYLE = Style("pointillist", draw)
