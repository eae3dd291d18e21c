"""Stained glass: saturated lit panes in thick black leading."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image

from ..brush import blank, coverage, finished, noise, paint, to_array, to_image
from ..colours import lightness, mix, saturated
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from ..tiles import VARIANTS, cell_means, frozen, stones
from .style import Style

LEAD: RGB = (12, 10, 14)
ACROSS = 6


@lru_cache(maxsize=VARIANTS)
def panes(variant: int) -> np.ndarray:
    """How brightly each pane is lit, float64 [panes, 3], slightly tinted."""
    generator = np.random.default_rng(variant + 21)
    count = (ACROSS + 2) ** 2
    return frozen(generator.normal(1, 0.14, (count, 1)) + generator.normal(0, 0.06, (count, 3)))


def glass(patch: Patch) -> RGB:
    """Deep colour; black glass lets a little light through, a dark sky some blue."""
    if lightness(patch.colour) < 0.2:
        return mix(patch.colour, (70, 66, 84) if patch.thing >= 0 else (52, 60, 170), 0.42)
    return saturated(patch.colour, 1.6)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    labels, border, _ = stones(size, ACROSS, variant)
    areas = [patch for patch in layout.backdrop if patch.layer != "feature"]
    values = to_array(finished(paint(blank(size), areas, glass), size))
    means = cell_means(values, labels)[labels] * 0.25 + values * 0.75
    leaded = np.clip(border / 1.6 - 0.9, 0, 1)[..., None]
    ground = to_image(means * panes(variant)[labels] * leaded + 11 * (1 - leaded))
    image = ground.resize((size * 2, size * 2))
    paint(image, layout.things, glass, lambda _: LEAD, 0.024)
    solid = to_array(finished(coverage(layout.things, size), size)) / 255
    light = 0.84 + 0.34 * noise(size, 9, variant) + 0.16 * solid * (noise(size, 26, variant) - 0.3)
    return to_image(to_array(finished(image, size)) * light[..., None])


STYLE = Style("stained_glass", draw, held_out=True)
