"""Plants, fruit and a star."""

from __future__ import annotations

import math

import numpy as np

from ..shapes import (
    Shape,
    blob,
    bumpy,
    curve,
    ellipse,
    half,
    mirrored,
    polygon,
    rectangle,
    stroke,
    turned,
)


def tree() -> list[Shape]:
    return [
        polygon("shade", (-0.13, 0.2), (0.13, 0.2), (0.22, 0.98), (-0.22, 0.98)),
        stroke("shade", 0.09, (0, 0.5), (0.3, 0.2)),
        bumpy("body", 0, -0.3, 0.72, 0.6, 9, 0.08),
        curve("shade", 0.05, (-0.4, -0.3), (-0.25, -0.2), (-0.1, -0.3)),
        curve("shade", 0.05, (0.1, -0.5), (0.25, -0.4), (0.4, -0.5)),
        curve("shade", 0.05, (0.05, 0.0), (0.2, 0.1), (0.35, 0.0)),
    ]


def star() -> list[Shape]:
    def corner(index: int, outer: float, inner: float) -> tuple[float, float]:
        radius = outer if index % 2 == 0 else inner
        angle = math.pi * index / 5 - math.pi / 2
        return radius * math.cos(angle), radius * math.sin(angle)

    facets = [polygon("shade", (0, 0), corner(index, 1, 0.45), corner(index + 1, 1, 0.45)) for index in range(0, 10, 2)]
    return [polygon("body", *[corner(index, 1, 0.45) for index in range(10)]), *facets]


def flower() -> list[Shape]:
    petal = ellipse("body", 0, -0.36, 0.2, 0.28)
    head = [shape for turn in range(0, 360, 60) for shape in turned([petal], turn)]
    lifted = [Shape(shape.points - np.array([0.0, 0.34]), shape.role) for shape in head]
    return [
        stroke("shade", 0.09, (0, -0.2), (0, 1.0)),
        blob("shade", (0, 0.8), (-0.3, 0.68), (-0.5, 0.36), (-0.16, 0.5)),
        blob("shade", (0, 0.8), (0.3, 0.68), (0.5, 0.36), (0.16, 0.5)),
        *lifted,
        ellipse("light", 0, -0.34, 0.2),
    ]


def mushroom() -> list[Shape]:
    return [
        blob("light", (-0.2, 0), (0.2, 0), (0.22, 0.4), (0.34, 0.85), (-0.34, 0.85), (-0.22, 0.4)),
        half("body", 0, 0.12, 0.95, 0.95),
        ellipse("light", -0.45, -0.22, 0.15, 0.13),
        ellipse("light", 0.12, -0.48, 0.18, 0.14),
        ellipse("light", 0.5, -0.08, 0.13, 0.11),
        ellipse("light", -0.02, -0.06, 0.1, 0.08),
    ]


def cactus() -> list[Shape]:
    return [
        curve("body", 0.24, (-0.02, 0.28), (-0.42, 0.24), (-0.56, 0.0), (-0.56, -0.3)),
        curve("body", 0.24, (0.02, 0.05), (0.42, 0.0), (0.56, -0.25), (0.56, -0.58)),
        blob(
            "body",
            (0, -1.0),
            (0.17, -0.92),
            (0.23, -0.7),
            (0.23, 0.6),
            (-0.23, 0.6),
            (-0.23, -0.7),
            (-0.17, -0.92),
        ),
        stroke("shade", 0.04, (-0.08, -0.75), (-0.08, 0.5)),
        stroke("shade", 0.04, (0.08, -0.75), (0.08, 0.5)),
        polygon("shade", (-0.4, 0.6), (0.4, 0.6), (0.3, 1.0), (-0.3, 1.0)),
        rectangle("light", -0.46, 0.52, 0.46, 0.66),
    ]


def apple() -> list[Shape]:
    right = ((0, -0.42), (0.3, -0.55), (0.68, -0.42), (0.8, 0.0), (0.62, 0.5), (0.3, 0.82))
    return [
        curve("dark", 0.09, (0, -0.4), (0.02, -0.65), (0.12, -0.88)),
        blob("shade", (0.08, -0.62), (0.3, -0.9), (0.62, -0.88), (0.4, -0.64)),
        blob("body", *right, (0, 0.74), *[(-x, y) for x, y in right[:0:-1]]),
        blob("light", (-0.5, -0.22), (-0.38, -0.34), (-0.32, -0.22), (-0.48, 0.1), (-0.56, 0.02)),
    ]


def heart() -> list[Shape]:
    steps = [math.radians(degrees) for degrees in range(0, 360, 8)]
    outline = [
        (
            math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16,
        )
        for t in steps
    ]
    return [
        polygon("body", *outline),
        curve("light", 0.12, (-0.7, -0.3), (-0.62, -0.5), (-0.42, -0.6)),
    ]


def butterfly() -> list[Shape]:
    wings = mirrored(
        blob("body", (0.06, -0.05), (0.3, -0.62), (0.8, -0.78), (0.96, -0.45), (0.62, 0.0)),
        blob("body", (0.06, 0.0), (0.55, 0.08), (0.74, 0.4), (0.5, 0.74), (0.2, 0.5)),
        ellipse("light", 0.64, -0.42, 0.16),
        ellipse("light", 0.46, 0.38, 0.12),
        curve("dark", 0.05, (0.03, -0.4), (0.12, -0.7), (0.28, -0.9)),
    )
    return [*wings, ellipse("dark", 0, 0.06, 0.09, 0.52)]


DRAWINGS = {
    "tree": tree,
    "star": star,
    "flower": flower,
    "mushroom": mushroom,
    "cactus": cactus,
    "apple": apple,
    "heart": heart,
    "butterfly": butterfly,
}
