"""The twelve colours, and arithmetic on RGB triples (0 to 255)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .shapes import RGB, Role

COLOURS: Mapping[str, RGB] = MappingProxyType(
    {
        "red": (214, 34, 38),
        "orange": (247, 134, 20),
        "yellow": (252, 218, 44),
        "green": (46, 158, 60),
        "teal": (16, 172, 168),
        "blue": (34, 84, 214),
        "purple": (126, 48, 176),
        "pink": (250, 136, 190),
        "brown": (124, 74, 40),
        "black": (36, 34, 40),
        "white": (250, 248, 242),
        "grey": (138, 142, 150),
    }
)
BLACK: RGB = (0, 0, 0)
WARM_SHADOW: RGB = (56, 8, 32)
CREAM: RGB = (255, 250, 236)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`first` with `share` (0 to 1) of `second` mixed in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def lightness(colour: RGB) -> float:
    """Perceived lightness, 0 for black to 1 for white."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def grey(level: float) -> RGB:
    """A neutral grey of lightness 0 to 1."""
    value = round(255 * min(1.0, max(0.0, level)))
    return value, value, value


def saturated(colour: RGB, amount: float) -> RGB:
    """The colour with its distance from grey multiplied by `amount`."""
    level = lightness(colour) * 255
    red, green, blue = (min(255, max(0, round(level + (channel - level) * amount))) for channel in colour)
    return red, green, blue


def role_colour(colour: RGB, role: Role) -> RGB:
    """What a part of a thing of `colour` looks like under plain light."""
    if role == "body":
        return colour
    if role == "shade":
        return mix(colour, CREAM, 0.25) if lightness(colour) < 0.2 else mix(colour, WARM_SHADOW, 0.27)
    if role == "light":
        return mix(colour, BLACK, 0.22) if lightness(colour) > 0.95 else mix(colour, CREAM, 0.82)
    return mix(colour, CREAM, 0.45) if lightness(colour) < 0.2 else mix(colour, BLACK, 0.78)


def edge_colour(colour: RGB) -> RGB:
    """The darker line around a thing of `colour`; around a black thing it is a grey one."""
    return mix(colour, CREAM, 0.42) if lightness(colour) < 0.2 else mix(colour, BLACK, 0.58)
