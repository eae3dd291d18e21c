"""The primitives that every drawing is made of, and the calls that build them.

A shape lives in unit coordinates: x to the right, y down, a drawing about two units wide. It
carries a role instead of a colour, so that a style decides how a body, a shade or a dark detail
looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

RGB = tuple[int, int, int]
Point = tuple[float, float]
Role = Literal["body", "shade", "light", "dark"]


@dataclass(frozen=True)
class Shape:
    """One filled outline (`closed`) or one stroke of `width` units along `points`, float64 [n, 2].

    `colour` overrides the colour that the role would get (used by characters with fixed colours).
    """

    points: np.ndarray
    role: Role
    closed: bool = True
    width: float = 0.0
    colour: RGB | None = None


def polygon(role: Role, *points: Point) -> Shape:
    """A straight-edged outline."""
    return Shape(np.asarray(points, dtype=np.float64), role)


def rectangle(role: Role, left: float, top: float, right: float, bottom: float) -> Shape:
    """An axis-aligned rectangle."""
    return polygon(role, (left, top), (right, top), (right, bottom), (left, bottom))


def ellipse(role: Role, x: float, y: float, radius_x: float, radius_y: float = 0.0) -> Shape:
    """An ellipse around (x, y); one radius makes a circle."""
    return Shape(arc_points(x, y, radius_x, radius_y or radius_x, 0, 360)[:-1], role)


def half(role: Role, x: float, y: float, radius_x: float, radius_y: float) -> Shape:
    """The upper half of an ellipse, flat side down at y."""
    return Shape(arc_points(x, y, radius_x, radius_y, 180, 360), role)


def bumpy(role: Role, x: float, y: float, radius_x: float, radius_y: float, bumps: int, depth: float = 0.1) -> Shape:
    """A cloud-like outline with `bumps` round lobes, each `depth` of the radius deep."""
    angle = np.linspace(0, 2 * np.pi, bumps * 8, endpoint=False)
    radius = 1 - depth + depth * 2 * np.abs(np.sin(bumps * angle / 2))
    points = np.stack([x + radius_x * radius * np.cos(angle), y + radius_y * radius * np.sin(angle)])
    return Shape(points.T, role)


def blob(role: Role, *points: Point) -> Shape:
    """A smooth closed curve through the points."""
    return Shape(smooth(np.asarray(points, dtype=np.float64), closed=True), role)


def stroke(role: Role, width: float, *points: Point) -> Shape:
    """A straight-segmented stroke of `width` units."""
    return Shape(np.asarray(points, dtype=np.float64), role, closed=False, width=width)


def curve(role: Role, width: float, *points: Point) -> Shape:
    """A smooth stroke of `width` units through the points."""
    path = smooth(np.asarray(points, dtype=np.float64), closed=False)
    return Shape(path, role, closed=False, width=width)


def arc(
    role: Role,
    width: float,
    centre: Point,
    radii: Point,
    start: float,
    end: float,
) -> Shape:
    """A stroke along part of an ellipse; degrees run clockwise from the right."""
    points = arc_points(*centre, *radii, start, end)
    return Shape(points, role, closed=False, width=width)


def arc_points(x: float, y: float, radius_x: float, radius_y: float, start: float, end: float) -> np.ndarray:
    """Points [n, 2] along an ellipse from `start` to `end` degrees, about one per ten degrees."""
    count = max(3, int(abs(end - start) / 10) + 1)
    angle = np.radians(np.linspace(start, end, count))
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)


def smooth(points: np.ndarray, closed: bool, steps: int = 6) -> np.ndarray:
    """A Catmull-Rom curve through `points` [n, 2], `steps` points per segment."""
    if closed:
        before, start = np.roll(points, 1, axis=0), points
        end, after = np.roll(points, -1, axis=0), np.roll(points, -2, axis=0)
    else:
        padded = np.concatenate([points[:1], points, points[-1:]])
        before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (before, start, end, after))
    path = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    path = path.reshape(-1, 2)
    return path if closed else np.concatenate([path, points[-1:]])


def turned(shapes: Iterable[Shape], degrees: float) -> list[Shape]:
    """The shapes turned clockwise around the origin."""
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, sin], [-sin, cos]])
    return [replace(shape, points=shape.points @ rotation) for shape in shapes]


def mirrored(*shapes: Shape) -> list[Shape]:
    """The shapes followed by their mirror images across x = 0."""
    images = [replace(shape, points=shape.points * np.array([-1.0, 1.0])) for shape in shapes]
    return [*shapes, *images]


def fitted(shapes: Iterable[Shape]) -> tuple[Shape, ...]:
    """The shapes moved and scaled so that the longer side of their bounds is exactly -1 to 1."""
    shapes = list(shapes)
    low = np.min([(s.points - s.width / 2).min(axis=0) for s in shapes], axis=0)
    high = np.max([(s.points + s.width / 2).max(axis=0) for s in shapes], axis=0)
    scale = 2 / float((high - low).max())
    middle = (low + high) / 2
    return tuple(replace(s, points=(s.points - middle) * scale, width=s.width * scale) for s in shapes)


def painted(colour: RGB, shape: Shape) -> Shape:
    """The shape in a fixed colour instead of its role's."""
    return replace(shape, colour=colour)
