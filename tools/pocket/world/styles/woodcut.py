"""Woodcut: black ink on cream paper, light carved out in swelling lines."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from ..brush import blank, finished, grain, paint, to_array, to_image
from ..colours import grey, lightness
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from ..tiles import VARIANTS, hatching
from .style import Style

PAPER = np.array((240, 226, 198), dtype=np.float32)
INK = np.array((24, 18, 16), dtype=np.float32)


def ground_tone(patch: Patch) -> RGB:
    """The setting is mostly ink."""
    return grey(0.06 + 0.46 * lightness(patch.colour))


def contour(patch: Patch) -> RGB | None:
    """The edges of the land are cut out bright."""
    return grey(1) if patch.layer != "sky" else None


def thing_tone(patch: Patch) -> RGB:
    """Things are mostly paper, whatever their colour."""
    return grey(0.64 + 0.36 * lightness(patch.colour)) if patch.role != "dark" else grey(0)


def carved(level: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Paper (1) where the knife went: lines that swell with the level."""
    return np.clip((level - lines) * 4 + 0.2, 0, 1)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    ground = to_array(finished(paint(blank(size), layout.backdrop, ground_tone, contour, 0.009), size))[..., 0]
    image = paint(blank(size), layout.things, thing_tone, lambda _: grey(0), 0.016)
    things = to_array(finished(image, size))[..., 0] / 255
    outer = paint(blank(size), layout.things, white, white, 0.042)
    inner = paint(blank(size), layout.things, white, white, 0.016)
    ring = to_array(finished(outer, size))[..., 0] / 255
    solid = to_array(finished(inner, size))[..., 0] / 255
    paper = carved(ground / 255, hatching(size, 9.5, 4, 3, variant))
    paper = np.maximum(paper * (1 - ring), ring * (1 - solid))
    body = carved(things, hatching(size, 8, 62, 1.2, variant)) * (things > 0.15)
    paper = paper * (1 - solid) + body * solid
    ink = (1 - paper) * np.clip(1.0 - 0.05 * np.maximum(grain(size, variant), 0), 0, 1)
    return to_image(PAPER + (INK - PAPER) * ink[..., None])


def white(_: Patch) -> RGB:
    """Marks where something is."""
    return 255, 255, 255


STYLE = Style("woodcut", draw, held_out=True)
