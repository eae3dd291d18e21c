"""Things that stand in a house."""

from __future__ import annotations

from ..shapes import Shape, arc, blob, curve, ellipse, half, mirrored, polygon, rectangle, stroke


def teapot() -> list[Shape]:
    return [
        arc("shade", 0.13, (-0.62, 0.14), (0.32, 0.32), 90, 290),
        blob("body", (0.4, 0.36), (0.66, 0.1), (0.76, -0.3), (1.0, -0.3), (0.9, 0.12), (0.5, 0.62)),
        ellipse("body", 0, 0.2, 0.64, 0.54),
        rectangle("shade", -0.36, 0.68, 0.36, 0.8),
        half("shade", 0, -0.22, 0.4, 0.26),
        ellipse("dark", 0, -0.52, 0.1),
        blob("light", (-0.42, 0.0), (-0.3, -0.12), (-0.24, 0.02), (-0.38, 0.28), (-0.46, 0.2)),
    ]


def cup() -> list[Shape]:
    return [
        arc("shade", 0.16, (0.42, 0.34), (0.4, 0.3), -90, 90),
        polygon("body", (-0.66, -0.1), (0.5, -0.1), (0.4, 0.9), (-0.56, 0.9)),
        ellipse("light", -0.08, -0.1, 0.58, 0.13),
        ellipse("dark", -0.08, -0.09, 0.45, 0.08),
        curve("light", 0.08, (-0.3, -0.32), (-0.38, -0.5), (-0.22, -0.68), (-0.3, -0.9)),
        curve("light", 0.08, (0.1, -0.32), (0.02, -0.5), (0.18, -0.68), (0.1, -0.9)),
    ]


def clock() -> list[Shape]:
    ticks = [ellipse("dark", x, y, 0.05) for x, y in ((0, -0.34), (0.42, 0.08), (0, 0.5), (-0.42, 0.08))]
    return [
        *mirrored(
            stroke("dark", 0.13, (0.4, 0.6), (0.6, 0.94)),
            ellipse("shade", 0.48, -0.62, 0.28, 0.24),
        ),
        stroke("dark", 0.07, (0, -0.6), (0, -0.86)),
        stroke("dark", 0.1, (-0.16, -0.86), (0.16, -0.86)),
        ellipse("body", 0, 0.08, 0.76),
        ellipse("light", 0, 0.08, 0.55),
        *ticks,
        stroke("dark", 0.08, (0, -0.22), (0, 0.08), (0.24, 0.24)),
    ]


def chair() -> list[Shape]:
    return [
        rectangle("shade", -0.3, 0.1, -0.16, 0.8),
        rectangle("shade", 0.56, 0.1, 0.7, 0.8),
        polygon("body", (-0.62, -1.0), (-0.42, -1.0), (-0.36, 0.98), (-0.56, 0.98)),
        rectangle("body", 0.32, 0.1, 0.48, 0.98),
        polygon("body", (-0.6, -0.02), (0.72, -0.02), (0.5, 0.22), (-0.58, 0.22)),
        polygon(
            "shade",
            (-0.58, 0.22),
            (0.5, 0.22),
            (0.72, -0.02),
            (0.72, 0.08),
            (0.5, 0.34),
            (-0.58, 0.34),
        ),
        polygon("body", (-0.62, -1.0), (-0.2, -0.9), (-0.16, -0.24), (-0.5, -0.28)),
        polygon("light", (-0.5, -0.84), (-0.3, -0.8), (-0.27, -0.42), (-0.46, -0.44)),
    ]


def lamp() -> list[Shape]:
    return [
        rectangle("dark", -0.06, -0.1, 0.06, 0.8),
        polygon("body", (-0.34, -0.95), (0.34, -0.95), (0.74, 0.0), (-0.74, 0.0)),
        polygon("shade", (-0.68, -0.14), (0.68, -0.14), (0.74, 0.0), (-0.74, 0.0)),
        stroke("dark", 0.03, (0.4, 0.0), (0.4, 0.3)),
        ellipse("dark", 0.4, 0.33, 0.05),
        half("shade", 0, 0.9, 0.42, 0.26),
        rectangle("dark", -0.46, 0.88, 0.46, 0.98),
    ]


def umbrella() -> list[Shape]:
    def scallops() -> list[tuple[float, float]]:
        points = []
        for start in (0.92, 0.307, -0.307):
            points += [
                (start - 0.2, -0.04),
                (start - 0.307, -0.01),
                (start - 0.41, -0.04),
                (start - 0.613, 0.1),
            ]
        return points

    dome = half("body", 0, 0.1, 0.92, 0.98).points
    return [
        stroke("dark", 0.07, (0, -1.0), (0, 0.72)),
        arc("dark", 0.09, (0.15, 0.74), (0.15, 0.22), 0, 180),
        polygon("body", *[tuple(point) for point in dome], *scallops()),
        polygon("shade", (0, -0.88), (0.307, 0.1), (0.12, -0.01), (-0.12, -0.01), (-0.307, 0.1)),
    ]


def bell() -> list[Shape]:
    right = ((0, -0.82), (0.26, -0.72), (0.4, -0.4), (0.46, 0.1), (0.6, 0.42), (0.82, 0.6))
    return [
        arc("dark", 0.09, (0, -0.84), (0.14, 0.14), 150, 390),
        ellipse("dark", 0, 0.74, 0.18),
        polygon("body", *right, *[(-x, y) for x, y in right[:0:-1]]),
        polygon("shade", (-0.82, 0.58), (0.82, 0.58), (0.86, 0.74), (-0.86, 0.74)),
        stroke("shade", 0.07, (-0.45, 0.05), (0.45, 0.05)),
        curve("light", 0.1, (-0.22, -0.48), (-0.28, -0.3), (-0.3, -0.1)),
    ]


DRAWINGS = {
    "teapot": teapot,
    "cup": cup,
    "clock": clock,
    "chair": chair,
    "lamp": lamp,
    "umbrella": umbrella,
    "bell": bell,
}
