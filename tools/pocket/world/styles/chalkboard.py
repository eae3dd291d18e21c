"""Chalkboard: dusty coloured chalk on a wiped dark green board."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image

from ..brush import blank, finished, grain, noise, paint, to_array, to_image, wobbled
from ..colours import lightness, mix
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from ..tiles import VARIANTS, frozen, hatching
from .style import Style

BOARD = np.array((38, 66, 56), dtype=np.float32)


@lru_cache(maxsize=VARIANTS)
def wiped(size: int, variant: int) -> np.ndarray:
    """The board with traces of old chalk, float32 [size, size, 3]."""
    smears = noise(size, 4, variant) * 16 + (1 - hatching(size, 40, 20, 9, variant)) * 7
    dust = smears + 2 * grain(size, variant)
    return frozen((BOARD + dust[..., None]).astype(np.float32))


def chalk(patch: Patch) -> RGB:
    """Chalk colours are pale; black chalk is a dark grey one."""
    colour = patch.base
    if lightness(colour) < 0.2:
        return 112, 114, 120
    return mix(colour, (255, 255, 255), 0.32)


def faint(patch: Patch) -> RGB:
    """White chalk for the setting."""
    return mix((190, 198, 192), patch.colour, 0.25)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    variant = rng.randrange(VARIANTS)
    board = wiped(size, variant)
    black = (0, 0, 0)
    backdrop = [wobbled(patch, rng, 0.004) for patch in layout.backdrop if patch.layer != "sky"]
    things = [wobbled(patch, rng, 0.003) for patch in layout.things]
    lines = paint(blank(size), backdrop, lambda _: black, faint, 0.006, hollow=True)
    paint(lines, things, lambda _: black, chalk, 0.015, hollow=True)
    fills = finished(paint(blank(size), things, lambda p: chalk(p) if p.role == "body" else black), size)
    line_values, fill_values = to_array(finished(lines, size)), to_array(fills)
    tooth = np.clip(0.98 + 0.24 * grain(size, variant), 0.1, 1)
    rubbed = np.clip(0.75 - hatching(size, 5.5, -40, 1.5, variant) + 0.2 * grain(size, variant), 0, 0.6)
    drawn = np.clip(line_values.max(axis=-1) / 90, 0, 1) * tooth
    filled = np.clip(fill_values.max(axis=-1) / 60, 0, 1) * rubbed
    values = board + (fill_values - board) * filled[..., None]
    return to_image(values + (line_values - values) * drawn[..., None])


STYLE = Style("chalkboard", draw, held_out=True)
