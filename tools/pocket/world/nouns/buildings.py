"""Buildings."""

from __future__ import annotations

from ..shapes import Shape, half, polygon, rectangle, stroke


def house() -> list[Shape]:
    return [
        rectangle("shade", 0.35, -0.78, 0.58, -0.2),
        rectangle("body", -0.7, -0.1, 0.7, 0.9),
        polygon("shade", (-0.95, 0), (0, -0.88), (0.95, 0)),
        rectangle("dark", -0.16, 0.36, 0.16, 0.9),
        rectangle("light", -0.54, 0.2, -0.28, 0.5),
        rectangle("light", 0.28, 0.2, 0.54, 0.5),
    ]


def castle() -> list[Shape]:
    def battlements(left: float, right: float, top: float, bottom: float) -> Shape:
        step = (right - left) / 5
        teeth = []
        for index in range(5):
            level = top if index % 2 == 0 else top + 0.12
            teeth += [(left + index * step, level), (left + (index + 1) * step, level)]
        return polygon("body", (left, bottom), *teeth, (right, bottom))

    return [
        stroke("dark", 0.04, (-0.7, -0.98), (-0.7, -0.55)),
        stroke("dark", 0.04, (0.7, -0.98), (0.7, -0.55)),
        polygon("light", (-0.68, -0.97), (-0.38, -0.87), (-0.68, -0.77)),
        polygon("light", (0.72, -0.97), (1.02, -0.87), (0.72, -0.77)),
        battlements(-0.5, 0.5, -0.2, 0.85),
        battlements(-0.98, -0.42, -0.6, 0.85),
        battlements(0.42, 0.98, -0.6, 0.85),
        rectangle("shade", -0.98, 0.6, -0.42, 0.85),
        rectangle("shade", 0.42, 0.6, 0.98, 0.85),
        half("dark", 0, 0.4, 0.22, 0.25),
        rectangle("dark", -0.22, 0.38, 0.22, 0.85),
        rectangle("light", -0.78, -0.2, -0.62, 0.1),
        rectangle("light", 0.62, -0.2, 0.78, 0.1),
    ]


def lighthouse() -> list[Shape]:
    def band(top: float, bottom: float) -> Shape:
        def side(y: float) -> float:
            return 0.24 + 0.2 * (y + 0.45) / 1.35

        return polygon(
            "light",
            (-side(top), top),
            (side(top), top),
            (side(bottom), bottom),
            (-side(bottom), bottom),
        )

    return [
        polygon("light", (0.2, -0.68), (0.95, -0.95), (0.95, -0.42)),
        polygon("light", (-0.2, -0.68), (-0.95, -0.95), (-0.95, -0.42)),
        polygon("body", (-0.24, -0.45), (0.24, -0.45), (0.44, 0.9), (-0.44, 0.9)),
        band(-0.2, 0.04),
        band(0.3, 0.55),
        rectangle("dark", -0.32, -0.52, 0.32, -0.43),
        rectangle("light", -0.2, -0.8, 0.2, -0.52),
        half("body", 0, -0.78, 0.27, 0.22),
        rectangle("dark", -0.1, 0.66, 0.1, 0.9),
        rectangle("shade", -0.6, 0.88, 0.6, 1.0),
    ]


DRAWINGS = {"house": house, "castle": castle, "lighthouse": lighthouse}
