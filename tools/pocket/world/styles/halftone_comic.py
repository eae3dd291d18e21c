"""Halftone comic: black outlines, flat colour and printed dots, in a white frame."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from ..brush import blank, finished, paint, to_array, to_image
from ..colours import mix, saturated
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from ..tiles import frozen
from .style import Style

INK: RGB = (14, 12, 16)
PITCH = 8


@lru_cache(maxsize=4)
def screen(size: int) -> np.ndarray:
    """Height of a slanted dot screen, float32 [size, size]: 0 in the middle of a dot, 1 between."""
    rows, columns = np.mgrid[0:size, 0:size] * (256 / size / PITCH)
    first, second = (rows + columns) * 0.7071, (rows - columns) * 0.7071
    distance = np.hypot(first % 1 - 0.5, second % 1 - 0.5)
    return frozen((distance / 0.7071).astype(np.float32))


def bright(patch: Patch) -> RGB:
    """Flat printing colours."""
    return saturated(mix(patch.colour, (255, 255, 255), 0.05), 1.35)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    ground = paint(blank(size), layout.backdrop, bright)
    values = to_array(finished(ground, size))
    level = values.mean(axis=-1) / 255
    dots = np.clip((0.98 - 0.62 * level - screen(size)) * 6, 0, 1)[..., None]
    paper = values * 0.25 + np.array((255, 250, 226)) * 0.75
    printed = to_image(paper + (values * 0.8 - paper) * dots)
    image = printed.resize((size * 2, size * 2))
    areas = [patch for patch in layout.backdrop if patch.layer == "ground"]
    paint(image, areas, lambda _: None, lambda _: INK, 0.007)
    paint(image, layout.things, bright, lambda _: INK, 0.018)
    frame, pen = image.width // 28, ImageDraw.Draw(image)
    pen.rectangle((0, 0, image.width - 1, image.width - 1), outline=(255, 255, 255), width=frame)
    inner = (frame, frame, image.width - 1 - frame, image.width - 1 - frame)
    pen.rectangle(inner, outline=INK, width=5)
    return finished(image, size)


STYLE = Style("halftone_comic", draw, held_out=True)
