"""Mosaic: small stones with light grout between them, cut along the outlines."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image

from ..brush import blank, finished, paint, to_array, to_image
from ..layout import Layout
from ..patch import Patch
from ..tiles import VARIANTS, cell_means, frozen, stones
from .style import Style

GROUT = np.array((214, 206, 190), dtype=np.float32)
ACROSS = 24
ROLE_CODES = {"body": 1, "shade": 2, "light": 3, "dark": 4}


@lru_cache(maxsize=VARIANTS)
def shades(variant: int) -> np.ndarray:
    """How bright each stone is, float64 [stones, 1], 1 on average."""
    return frozen(np.random.default_rng(variant).normal(1, 0.07, ((ACROSS + 2) ** 2, 1)))


def code(patch: Patch) -> tuple[int, int, int]:
    """A number per thing and role, so that no stone reaches over an outline."""
    return (ROLE_CODES[patch.role] + 5 * patch.thing) * 8, 0, 0


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    labels, border, _ = stones(size, ACROSS, variant)
    values = to_array(finished(paint(blank(size), layout.patches), size))
    codes = np.asarray(paint(Image.new("RGB", (size, size)), layout.things, code))[..., 0] // 8
    means = cell_means(values, labels * 16 + codes)[labels * 16 + codes]
    cut = np.zeros((size, size), dtype=bool)
    cut[1:] |= codes[1:] != codes[:-1]
    cut[:, 1:] |= codes[:, 1:] != codes[:, :-1]
    stone = np.clip(border + 0.15, 0, 1) * np.where(cut, 0.45, 1)
    colours = means * shades(variant)[labels]
    return to_image(GROUT + (colours - GROUT) * stone[..., None])


STYLE = Style("mosaic", draw)
