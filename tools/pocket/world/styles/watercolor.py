"""Watercolor: thin washes with dark drying edges, bleeding on rough white paper."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from ..brush import blank, finished, grain, noise, paint, to_array, to_image
from ..colours import mix, saturated
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from ..tiles import VARIANTS, frozen
from .style import Style

PAPER: RGB = (254, 252, 246)


@lru_cache(maxsize=VARIANTS)
def bleeding(size: int, variant: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel fetches its colour from: rows and columns int64 [size, size]."""
    rows, columns = np.mgrid[0:size, 0:size]
    reach = size / 256
    down = (noise(size, 22, variant) - 0.5) * 6 + (noise(size, 70, variant) - 0.5) * 3.5
    side = (noise(size, 22, variant + 9) - 0.5) * 6 + (noise(size, 70, variant + 9) - 0.5) * 3.5
    return (
        frozen(np.clip(rows + down * reach, 0, size - 1).astype(np.int64)),
        frozen(np.clip(columns + side * reach, 0, size - 1).astype(np.int64)),
    )


@lru_cache(maxsize=VARIANTS)
def wet(size: int, variant: int) -> np.ndarray:
    """How much pigment the paper takes, float32 [size, size, 1]: nothing on the ragged margin."""
    axis = np.minimum(np.arange(size), np.arange(size)[::-1]) / size
    margin = np.minimum(axis[:, None], axis[None, :])
    ragged = np.clip((margin - 0.01 - 0.07 * noise(size, 9, variant)) * 60, 0, 1)
    pigment = 0.9 + 0.5 * (noise(size, 7, variant + 3) - 0.5) + 0.05 * grain(size, variant)
    return frozen((ragged * np.clip(pigment, 0.3, 1.1)).astype(np.float32)[..., None])


def wash(patch: Patch) -> RGB:
    """Settings are thinned with much water."""
    if patch.thing < 0:
        return mix(saturated(patch.colour, 1.15), PAPER, 0.42)
    return saturated(patch.colour, 1.15)


def drying_edge(patch: Patch) -> RGB:
    """Pigment gathers at the rim of a wash."""
    return mix(wash(patch), (40, 30, 60), 0.42)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    image = finished(paint(blank(size, PAPER), layout.backdrop, wash), size)
    ground = image.filter(ImageFilter.BoxBlur(size / 110))
    canvas = ground.resize((size * 2, size * 2))
    paint(canvas, layout.things, wash, drying_edge, 0.009)
    rows, columns = bleeding(size, variant)
    values = to_array(finished(canvas, size).filter(ImageFilter.BoxBlur(0.8)))[rows, columns]
    paper = np.array(PAPER, dtype=np.float32) + 2.5 * grain(size, variant)[..., None]
    return to_image(paper + (values - np.array(PAPER, dtype=np.float32)) * wet(size, variant))


STYLE = Style("watercolor", draw, held_out=True)
