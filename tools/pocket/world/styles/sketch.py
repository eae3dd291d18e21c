"""Sketch: restless double lines in brown ink over loose, slipped patches of colour."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image

from ..brush import blank, finished, nothing, paint, wobbled
from ..colours import mix
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style

PAPER: RGB = (248, 241, 226)
SLIP = np.array((-0.012, 0.01))
INK: RGB = (62, 42, 34)


def wash(patch: Patch) -> RGB:
    """Settings are hinted at, things nearly full."""
    return mix(patch.colour, PAPER, 0.15 if patch.thing >= 0 else 0.68)


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    def slipped(patch: Patch) -> Patch:
        return replace(wobbled(patch, rng, 0.004), points=patch.points + SLIP)

    def lines(amount: float) -> list[Patch]:
        return [wobbled(patch, rng, amount) for patch in layout.things]

    backdrop = [wobbled(patch, rng, 0.005) for patch in layout.backdrop]
    image = paint(blank(size, PAPER), backdrop, wash, lambda _: mix(INK, PAPER, 0.55), 0.004, hollow=True)
    paint(image, [slipped(patch) for patch in layout.things], wash)
    main = [patch for patch in lines(0.01) if patch.closed]
    paint(image, lines(0.004), nothing, lambda _: INK, 0.007)
    paint(image, main, nothing, lambda _: INK, 0.005)
    return finished(image, size)


STYLE = Style("sketch", draw)
