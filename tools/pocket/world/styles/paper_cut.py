"""Paper cut: layers of coloured paper, each with a soft shadow on the one below."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from ..brush import finished, paint, with_grain
from ..colours import BLACK, mix
from ..layout import Layout
from ..patch import Patch
from ..shapes import RGB
from .style import Style

OFFSET = np.array((0.007, 0.01))


def under(patch: Patch) -> RGB:
    """The hard little shadow below details."""
    return mix(patch.base, BLACK, 0.5)


def shadow(patches: list[Patch], size: int) -> Image.Image:
    """What the light leaves around a sheet: an "L" image to multiply with, 255 where it is lit."""
    moved = [replace(patch, points=patch.points + 1.4 * OFFSET) for patch in patches]
    small = Image.new("L", (size // 2, size // 2), 255)
    mask = paint(small.convert("RGB"), moved, lambda _: (105, 105, 105)).getchannel(0)
    return mask.filter(ImageFilter.BoxBlur(size / 128)).filter(ImageFilter.BoxBlur(size / 128))


def draw(layout: Layout, rng: random.Random, size: int) -> Image.Image:
    sheets: list[list[Patch]] = []
    for patch in layout.patches:
        if not sheets or patch.layer == "ground" or patch.thing != sheets[-1][-1].thing:
            sheets.append([])
        sheets[-1].append(patch)
    image = Image.new("RGB", (size * 2, size * 2))
    for sheet in sheets:
        if sheet[0].layer != "sky":
            mask = shadow(sheet, size).resize(image.size).convert("RGB")
            image = ImageChops.multiply(image, mask)
        for patch in sheet:
            if patch.thing >= 0:
                moved = replace(patch, points=patch.points + OFFSET * 0.7)
                paint(image, [moved], under)
            paint(image, [patch])
    return with_grain(finished(image, size), 4, rng.randrange(4))


STYLE = Style("paper_cut", draw)
