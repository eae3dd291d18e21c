"""Two characters with a look of their own, for learning a subject. The base never sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from .nouns import noun_shapes
from .shapes import (
    RGB,
    Shape,
    blob,
    curve,
    ellipse,
    fitted,
    mirrored,
    painted,
    polygon,
    stroke,
)

TEAL: RGB = (28, 168, 170)
CORAL: RGB = (250, 104, 84)
IVORY: RGB = (252, 244, 222)
NAVY: RGB = (28, 40, 84)
PLUM: RGB = (128, 58, 160)
ROSE: RGB = (250, 150, 196)
HONEY: RGB = (252, 186, 44)


def bip() -> list[Shape]:
    """A little robot on one wheel: coral and ivory stripes, one big eye, a bent antenna."""
    stripes = [
        painted(IVORY, polygon("light", (-w, y), (w, y), (w - 0.03, y + 0.13), (0.03 - w, y + 0.13)))
        for y, w in ((0.02, 0.5), (0.28, 0.45))
    ]
    arms = mirrored(
        painted(TEAL, curve("shade", 0.11, (0.48, 0.08), (0.78, 0.02), (0.84, -0.24))),
        painted(NAVY, ellipse("dark", 0.84, -0.3, 0.12)),
    )
    return [
        painted(NAVY, ellipse("dark", 0, 0.78, 0.24)),
        painted(IVORY, ellipse("light", 0, 0.78, 0.1)),
        *arms,
        painted(NAVY, curve("dark", 0.05, (0.1, -0.8), (0.14, -0.98), (0.34, -1.02))),
        painted(HONEY, ellipse("light", 0.38, -1.02, 0.1)),
        painted(CORAL, polygon("body", (-0.52, -0.12), (0.52, -0.12), (0.36, 0.62), (-0.36, 0.62))),
        *stripes,
        painted(TEAL, blob("shade", (-0.5, -0.2), (-0.52, -0.6), (0, -0.88), (0.52, -0.6), (0.5, -0.2))),
        painted(IVORY, ellipse("light", 0, -0.5, 0.28)),
        painted(NAVY, ellipse("dark", 0.04, -0.5, 0.14)),
        painted(IVORY, ellipse("light", 0.09, -0.55, 0.05)),
    ]


def momo() -> list[Shape]:
    """A round owl: plum with rose spots, an ivory belly, huge honey eyes and pointed ear tufts."""
    low_spots = ((-0.5, -0.02, 0.1), (0.55, 0.1, 0.11), (-0.62, 0.34, 0.09), (0.5, 0.46, 0.09))
    high_spots = ((-0.3, -0.72, 0.08), (0.28, -0.74, 0.09), (0.02, -0.86, 0.06))
    face = mirrored(
        painted(HONEY, ellipse("light", 0.28, -0.36, 0.27)),
        painted(IVORY, ellipse("light", 0.28, -0.36, 0.19)),
        painted(NAVY, ellipse("dark", 0.25, -0.34, 0.11)),
    )
    feet = mirrored(painted(HONEY, ellipse("shade", 0.24, 0.9, 0.16, 0.09)))
    body = ((0, -0.92), (0.5, -0.82), (0.72, -0.3), (0.8, 0.3), (0.5, 0.82), (0, 0.92))
    return [
        *feet,
        *mirrored(painted(PLUM, polygon("body", (0.2, -0.8), (0.66, -1.1), (0.64, -0.46)))),
        painted(PLUM, blob("body", *body, *[(-x, y) for x, y in body[-2:0:-1]])),
        painted(IVORY, ellipse("light", 0, 0.42, 0.38, 0.4)),
        *[
            painted(ROSE, stroke("shade", 0.06, (x - 0.08, y), (x, y + 0.07), (x + 0.08, y)))
            for x, y in ((-0.14, 0.3), (0.14, 0.3), (0, 0.48), (-0.14, 0.62), (0.14, 0.62))
        ],
        *[painted(ROSE, ellipse("light", x, y, radius)) for x, y, radius in low_spots + high_spots],
        *face,
        painted(CORAL, polygon("dark", (-0.09, -0.22), (0.09, -0.22), (0, 0.02))),
    ]


CHARACTERS: Mapping[str, Callable[[], list[Shape]]] = MappingProxyType({"bip": bip, "momo": momo})


@cache
def shapes_of(noun: str) -> tuple[Shape, ...]:
    """The shapes of a noun or a character, back to front, fitted to the square from -1 to 1."""
    return fitted(CHARACTERS[noun]()) if noun in CHARACTERS else noun_shapes(noun)
