"""Puts a scene's shapes onto the canvas: where everything lies, before any style paints it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .backdrops import backdrop
from .characters import shapes_of
from .colours import COLOURS, role_colour
from .patch import Patch
from .scene import Scene
from .shapes import RGB, Shape

HALF_EXTENT = {"small": 0.18, "medium": 0.29, "large": 0.4}
CENTRES = {"left": (0.28, 0.57), "centre": (0.5, 0.55), "right": (0.72, 0.57), "top": (0.5, 0.28)}
CROWD_SCALE = {2: 0.74, 3: 0.54}
ROW_WIDTH = 0.93
MARGIN = 0.02


@dataclass(frozen=True)
class Layout:
    """All patches of a picture, back to front, and its setting."""

    patches: tuple[Patch, ...]
    setting: str

    @property
    def things(self) -> tuple[Patch, ...]:
        """The patches that belong to things, back to front."""
        return tuple(patch for patch in self.patches if patch.layer == "thing")

    @property
    def backdrop(self) -> tuple[Patch, ...]:
        """The patches of the setting, back to front."""
        return tuple(patch for patch in self.patches if patch.layer != "thing")


def compose(scene: Scene, rng: random.Random) -> Layout:
    """Lays the scene out with a little jitter in position, scale and angle."""
    patches = list(backdrop(scene.setting, rng))
    extents = [HALF_EXTENT[thing.size] * rng.uniform(0.94, 1.04) for thing in scene.things]
    if len(scene.things) == 1:
        places = [CENTRES[scene.things[0].position]]
    else:
        extents, places = in_a_row(extents)
    for index, (thing, extent, centre) in enumerate(zip(scene.things, extents, places, strict=True)):
        shapes = shapes_of(thing.noun)
        patches += place(shapes, COLOURS[thing.colour], index, centre, extent, rng)
    return Layout(tuple(patches), scene.setting)


def in_a_row(extents: list[float]) -> tuple[list[float], list[tuple[float, float]]]:
    """Half extents shrunk until the things fit side by side, and their centres."""
    shrink = min(CROWD_SCALE[len(extents)], ROW_WIDTH / (2 * sum(extents)))
    extents = [extent * shrink for extent in extents]
    gap = (1 - 2 * sum(extents)) / (len(extents) + 1)
    centres, edge = [], 0.0
    for extent in extents:
        centres.append((edge + gap + extent, 0.57))
        edge += gap + 2 * extent
    return extents, centres


def place(
    shapes: Sequence[Shape],
    colour: RGB,
    index: int,
    centre: tuple[float, float],
    extent: float,
    rng: random.Random,
) -> list[Patch]:
    """The patches of one thing whose longer side spans `2 * extent` of the canvas, kept inside."""
    jitter = 0.02 if extent > 0.24 else 0.006
    x, y = (min(max(c + rng.uniform(-jitter, jitter), extent + MARGIN), 1 - extent - MARGIN) for c in centre)
    angle = np.radians(rng.uniform(-5, 5))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * extent
    return [
        Patch(
            points=shape.points @ turn + (x, y),
            colour=shape.colour or role_colour(colour, shape.role),
            layer="thing",
            role=shape.role,
            closed=shape.closed,
            width=shape.width * extent,
            thing=index,
            base=colour,
        )
        for shape in shapes
    ]
