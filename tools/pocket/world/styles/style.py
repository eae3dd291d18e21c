"""What a style is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from ..layout import Layout


@dataclass(frozen=True)
class Style:
    """A way to paint a layout.

    name: with underscores. draw: (layout, random generator, size in pixels) to an RGB picture of
    that size, the same for the same generator state. held_out: the base model never sees it.
    """

    name: str
    draw: Callable[[Layout, random.Random, int], Image.Image]
    held_out: bool = False
