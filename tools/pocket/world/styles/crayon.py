"""Crayon: waxy strokes that leave the paper's tooth uncovered, wobbly thick outlines."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from ..brush import blank, blended, finished, grain, paint, wobbled
from ..colours import edge_colour
from ..layout import Layout
from ..shapes import RGB
from ..tiles import VARIANTS, hatching
from .style import Style

PAPER: RGB = (255, 253, 246)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    backdrop = [wobbled(patch, rng, 0.004) for patch in layout.backdrop]
    things = [wobbled(patch, rng, 0.003) for patch in layout.things]
    image = paint(blank(size, PAPER), backdrop)
    image = paint(image, things, edge=lambda patch: edge_colour(patch.base), edge_width=0.018)
    wax = 0.98 + 0.06 * grain(size, variant) - 0.4 * hatching(size, 9, 28, 2, variant)
    paper = Image.new("RGB", (size, size), PAPER)
    return blended(paper, finished(image, size), np.clip(wax, 0.05, 1))


STYLE = Style("crayon", draw)
