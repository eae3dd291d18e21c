"""Pieces that several settings share."""

from __future__ import annotations

import random

import numpy as np

from ..patch import Patch, backdrop_patch
from ..shapes import RGB, bumpy, ellipse, smooth

FRAME = ((-0.02, -0.02), (1.02, -0.02), (1.02, 1.02), (-0.02, 1.02))


def sky(colour: RGB) -> Patch:
    """The whole canvas in one colour."""
    return backdrop_patch(np.array(FRAME), colour, "sky")


def area(colour: RGB, *points: tuple[float, float]) -> Patch:
    """A wide straight-edged area."""
    return backdrop_patch(np.array(points), colour, "ground")


def feature(colour: RGB, *points: tuple[float, float]) -> Patch:
    """A small straight-edged detail."""
    return backdrop_patch(np.array(points), colour, "feature")


def ground(colour: RGB, horizon: float) -> Patch:
    """Everything below the horizon (0 top to 1 bottom)."""
    return area(colour, (-0.02, horizon), (1.02, horizon), (1.02, 1.02), (-0.02, 1.02))


def hills(colour: RGB, height: float, swing: float, rng: random.Random) -> Patch:
    """Rolling ground whose edge swings around `height`."""
    knots = [(x, height + rng.uniform(-swing, swing)) for x in (-0.05, 0.2, 0.45, 0.7, 1.05)]
    edge = smooth(np.array(knots), closed=False)
    return backdrop_patch(np.concatenate([edge, [(1.05, 1.02), (-0.05, 1.02)]]), colour, "ground")


def disc(colour: RGB, x: float, y: float, radius_x: float, radius_y: float = 0.0) -> Patch:
    """An ellipse, or a circle."""
    return backdrop_patch(ellipse("body", x, y, radius_x, radius_y).points, colour, "feature")


def cloud(colour: RGB, x: float, y: float, width: float) -> Patch:
    """A bumpy cloud around (x, y)."""
    points = bumpy("light", x, y, width / 2, width / 5, 7, 0.14).points
    return backdrop_patch(points, colour, "feature")


def streak(colour: RGB, width: float, *points: tuple[float, float]) -> Patch:
    """A smooth stroke."""
    return backdrop_patch(smooth(np.array(points), closed=False, steps=4), colour, "feature", width)
