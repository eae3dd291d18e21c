"""Things that move people."""

from __future__ import annotations

from ..shapes import Shape, arc, blob, bumpy, ellipse, polygon, rectangle, stroke


def boat() -> list[Shape]:
    return [
        stroke("dark", 0.07, (0, -0.95), (0, 0.4)),
        polygon("body", (0.08, -0.9), (0.08, 0.25), (0.78, 0.25)),
        polygon("light", (-0.08, -0.65), (-0.08, 0.25), (-0.6, 0.25)),
        polygon("body", (-0.95, 0.38), (0.95, 0.38), (0.6, 0.9), (-0.6, 0.9)),
        polygon("shade", (-0.78, 0.64), (0.78, 0.64), (0.6, 0.9), (-0.6, 0.9)),
    ]


def car() -> list[Shape]:
    return [
        polygon("body", (-0.6, 0), (-0.35, -0.48), (0.3, -0.48), (0.6, 0)),
        polygon("light", (-0.45, -0.04), (-0.27, -0.36), (-0.06, -0.36), (-0.06, -0.04)),
        polygon("light", (0.05, -0.04), (0.05, -0.36), (0.24, -0.36), (0.44, -0.04)),
        blob(
            "body",
            (-0.97, 0.1),
            (-0.85, -0.04),
            (0, -0.05),
            (0.8, 0),
            (0.98, 0.15),
            (0.95, 0.36),
            (0, 0.4),
            (-0.95, 0.36),
        ),
        ellipse("light", 0.88, 0.14, 0.07),
        ellipse("dark", -0.53, 0.36, 0.24),
        ellipse("dark", 0.53, 0.36, 0.24),
        ellipse("light", -0.53, 0.36, 0.1),
        ellipse("light", 0.53, 0.36, 0.1),
    ]


def rocket() -> list[Shape]:
    return [
        polygon("light", (-0.2, 0.55), (0.2, 0.55), (0.1, 0.8), (0, 1.0), (-0.1, 0.8)),
        polygon("shade", (-0.28, 0.1), (-0.62, 0.5), (-0.6, 0.78), (-0.2, 0.55)),
        polygon("shade", (0.28, 0.1), (0.62, 0.5), (0.6, 0.78), (0.2, 0.55)),
        blob(
            "body",
            (0, -1.0),
            (0.2, -0.7),
            (0.32, -0.25),
            (0.31, 0.2),
            (0.22, 0.58),
            (-0.22, 0.58),
            (-0.31, 0.2),
            (-0.32, -0.25),
            (-0.2, -0.7),
        ),
        polygon("shade", (0, -1.0), (0.18, -0.72), (0.24, -0.55), (-0.24, -0.55), (-0.18, -0.72)),
        ellipse("dark", 0, -0.17, 0.18),
        ellipse("light", 0, -0.17, 0.12),
    ]


def train() -> list[Shape]:
    wheels = [ellipse("dark", x, 0.55, 0.19) for x in (-0.62, -0.16, 0.3)]
    hubs = [ellipse("light", x, 0.55, 0.07) for x in (-0.62, -0.16, 0.3)]
    return [
        bumpy("light", 0.25, -0.82, 0.3, 0.15, 6, 0.15),
        polygon("shade", (0.38, -0.2), (0.3, -0.62), (0.68, -0.62), (0.6, -0.2)),
        rectangle("body", -0.9, -0.6, -0.25, 0.4),
        polygon("shade", (-0.98, -0.72), (-0.17, -0.72), (-0.17, -0.58), (-0.98, -0.58)),
        rectangle("light", -0.76, -0.44, -0.4, -0.12),
        rectangle("body", -0.25, -0.22, 0.8, 0.4),
        rectangle("shade", 0.12, -0.22, 0.24, 0.4),
        polygon("dark", (0.58, 0.4), (0.8, 0.4), (1.0, 0.73), (0.58, 0.73)),
        *wheels,
        *hubs,
    ]


def bicycle() -> list[Shape]:
    wheels = [arc("dark", 0.09, (x, 0.3), (0.4, 0.4), 0, 360) for x in (-0.56, 0.56)]
    return [
        *wheels,
        stroke("body", 0.14, (-0.56, 0.3), (-0.05, 0.3), (0.4, -0.28), (-0.26, -0.28), (-0.56, 0.3)),
        stroke("body", 0.14, (-0.05, 0.3), (-0.32, -0.46)),
        stroke("body", 0.14, (0.56, 0.3), (0.34, -0.52)),
        stroke("dark", 0.11, (0.34, -0.54), (0.58, -0.6), (0.66, -0.48)),
        polygon("dark", (-0.54, -0.56), (-0.1, -0.5), (-0.34, -0.4)),
        ellipse("dark", -0.05, 0.3, 0.1),
    ]


def balloon() -> list[Shape]:
    envelope = ((0, -1.0), (0.45, -0.87), (0.68, -0.48), (0.56, -0.02), (0.2, 0.42))
    return [
        stroke("dark", 0.04, (-0.18, 0.38), (-0.14, 0.72)),
        stroke("dark", 0.04, (0.18, 0.38), (0.14, 0.72)),
        blob("body", *envelope, *[(-x, y) for x, y in envelope[:0:-1]]),
        blob("light", (0, -0.98), (0.2, -0.5), (0.08, 0.41), (-0.08, 0.41), (-0.2, -0.5)),
        polygon("shade", (-0.2, 0.38), (0.2, 0.38), (0.16, 0.48), (-0.16, 0.48)),
        polygon("shade", (-0.22, 0.68), (0.22, 0.68), (0.17, 1.0), (-0.17, 1.0)),
    ]


DRAWINGS = {
    "boat": boat,
    "car": car,
    "rocket": rocket,
    "train": train,
    "bicycle": bicycle,
    "balloon": balloon,
}
