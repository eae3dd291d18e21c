"""Low poly: the setting as flat triangles, things as faceted gems."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image

from ..brush import blank, coverage, finished, paint, to_array, to_image
from ..layout import Layout
from ..tiles import VARIANTS, cell_means, facets, frozen
from .style import Style

WIDE, FINE = 11, 17


@lru_cache(maxsize=2 * VARIANTS)
def facing(variant: int, count: int, spread: float) -> np.ndarray:
    """How bright each triangle is, float64 [count, 1], 1 on average."""
    return frozen(np.random.default_rng(variant).normal(1, spread, (count, 1)))


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    backdrop = paint(blank(size), layout.backdrop)
    wide, fine = facets(size, WIDE, variant), facets(size, FINE, variant)
    means = cell_means(to_array(finished(backdrop, size)), wide)
    ground = (means * facing(variant, len(means), 0.06))[wide]
    shine = facing(variant + 9, 2 * FINE * FINE, 0.17)[fine]
    things = to_array(finished(paint(blank(size), layout.things), size)) * shine + 12 * (shine - 1)
    solid = to_array(finished(coverage(layout.things, size), size))[..., None] / 255
    return to_image(ground * (1 - solid) + things * solid)


STYLE = Style("low_poly", draw)
