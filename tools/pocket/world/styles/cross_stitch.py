"""Cross stitch: one crossed stitch of yarn per cell on linen."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image

from ..brush import blank, finished, grain, paint, to_array, to_image
from ..colours import edge_colour
from ..layout import Layout
from ..tiles import VARIANTS, frozen
from .style import Style

STITCHES = 32
LINEN = np.array((226, 214, 190), dtype=np.float32)


@lru_cache(maxsize=4)
def stitch(size: int) -> tuple[np.ndarray, np.ndarray]:
    """How much yarn covers a pixel and how bright it is, float32 [size, size, 1]."""
    rows, columns = (np.mgrid[0:size, 0:size] * STITCHES / size) % 1
    rising, falling = np.abs(rows + columns - 1), np.abs(rows - columns)
    yarn = np.clip((0.36 - np.minimum(rising, falling)) * 7, 0, 1)
    shade = np.where(rising < 0.34, 1.1 - 0.7 * rising, 0.86 - 0.7 * falling)
    return (
        frozen(yarn.astype(np.float32)[..., None]),
        frozen(shade.astype(np.float32)[..., None]),
    )


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    image = paint(blank(size), layout.backdrop)
    paint(image, layout.things, edge=lambda patch: edge_colour(patch.base), edge_width=0.018)
    small = finished(image, size).resize((STITCHES, STITCHES), Image.Resampling.BOX)
    cells = np.arange(size) * STITCHES // size
    colours = to_array(small)[cells[:, None], cells[None, :]]
    yarn, shade = stitch(size)
    linen = LINEN + 3 * grain(size, rng.randrange(VARIANTS))[..., None]
    return to_image(linen + (colours * shade - linen) * yarn)


STYLE = Style("cross_stitch", draw, held_out=True)
