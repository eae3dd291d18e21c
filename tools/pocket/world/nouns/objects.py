"""Things to hold, wear or hang up."""

from __future__ import annotations

from ..shapes import Shape, blob, curve, ellipse, mirrored, polygon, rectangle, stroke, turned


def guitar() -> list[Shape]:
    right = ((0, -0.02), (0.28, 0.02), (0.34, 0.2), (0.25, 0.38), (0.42, 0.62), (0.36, 0.9))
    strings = [stroke("light", 0.02, (x, -0.95), (x, 0.66)) for x in (-0.04, 0.04)]
    return turned(
        [
            rectangle("shade", -0.09, -0.86, 0.09, 0.3),
            polygon("dark", (-0.12, -1.2), (0.12, -1.2), (0.16, -0.86), (-0.16, -0.86)),
            blob("body", *right, (0, 1.0), *[(-x, y) for x, y in right[:0:-1]]),
            ellipse("dark", 0, 0.32, 0.14),
            rectangle("dark", -0.2, 0.64, 0.2, 0.72),
            *strings,
        ],
        35,
    )


def key() -> list[Shape]:
    return turned(
        [
            rectangle("body", -0.1, -0.1, 1.1, 0.1),
            rectangle("body", 0.6, 0.08, 0.76, 0.36),
            rectangle("body", 0.9, 0.08, 1.1, 0.46),
            stroke("body", 0.24, *ring(-0.5, 0, 0.4)),
            ellipse("shade", -0.08, 0, 0.14),
        ],
        -35,
    )


def ring(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """Points of a circle, the first one repeated at the end so that a stroke closes."""
    points = [tuple(point) for point in ellipse("body", x, y, radius).points]
    return [*points, points[0]]


def kite() -> list[Shape]:
    return [
        curve("dark", 0.04, (0.0, 0.3), (0.12, 0.5), (-0.12, 0.72), (0.1, 1.0), (0.4, 1.04)),
        polygon("light", (0, 0.52), (-0.2, 0.42), (-0.2, 0.62)),
        polygon("light", (0, 0.52), (0.2, 0.42), (0.2, 0.62)),
        polygon("light", (-0.02, 0.84), (-0.22, 0.74), (-0.22, 0.94)),
        polygon("light", (-0.02, 0.84), (0.18, 0.74), (0.18, 0.94)),
        polygon("body", (0, -1.0), (0.62, -0.42), (0, 0.36), (-0.62, -0.42)),
        polygon("shade", (0, -1.0), (0.62, -0.42), (0, -0.42)),
        polygon("shade", (0, 0.36), (-0.62, -0.42), (0, -0.42)),
    ]


def hat() -> list[Shape]:
    return [
        ellipse("body", 0, 0.56, 0.98, 0.2),
        polygon("body", (-0.52, -0.7), (0.52, -0.7), (0.44, 0.54), (-0.44, 0.54)),
        ellipse("shade", 0, -0.7, 0.52, 0.13),
        polygon("light", (-0.47, 0.22), (0.47, 0.22), (0.45, 0.52), (-0.45, 0.52)),
    ]


def crown() -> list[Shape]:
    gems = [ellipse("light", x, 0.52, 0.09) for x in (-0.45, 0.0, 0.45)]
    return [
        polygon(
            "body",
            (-0.7, 0.72),
            (-0.92, -0.42),
            (-0.42, 0.08),
            (0, -0.7),
            (0.42, 0.08),
            (0.92, -0.42),
            (0.7, 0.72),
        ),
        rectangle("shade", -0.74, 0.34, 0.74, 0.72),
        *gems,
        *[ellipse("body", x, y, 0.11) for x, y in ((-0.92, -0.45), (0, -0.74), (0.92, -0.45))],
    ]


def anchor() -> list[Shape]:
    return [
        stroke("body", 0.14, *ring(0, -0.76, 0.16)),
        stroke("body", 0.17, (0, -0.6), (0, 0.86)),
        stroke("body", 0.15, (-0.42, -0.34), (0.42, -0.34)),
        curve("body", 0.17, (-0.72, 0.3), (-0.56, 0.66), (0, 0.88), (0.56, 0.66), (0.72, 0.3)),
        *mirrored(polygon("shade", (0.8, 0.0), (0.98, 0.5), (0.46, 0.38))),
    ]


DRAWINGS = {
    "guitar": guitar,
    "key": key,
    "kite": kite,
    "hat": hat,
    "crown": crown,
    "anchor": anchor,
}
