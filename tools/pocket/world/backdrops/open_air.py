"""Sea, beach, night, space, snow and mountains."""

from __future__ import annotations

import random

import numpy as np

from ..patch import Patch, backdrop_patch
from ..shapes import arc_points
from .parts import area, cloud, disc, feature, ground, hills, sky, streak


def sea(rng: random.Random) -> list[Patch]:
    horizon = rng.uniform(0.5, 0.58)
    waves = []
    for row in range(4):
        y = horizon + 0.08 + row * 0.1
        start = rng.uniform(-0.1, 0.12)
        knots = [(start + step * 0.09, y + 0.014 * (-1) ** step) for step in range(13)]
        waves.append(streak((126, 186, 226), 0.012, *knots))
    return [
        sky((186, 224, 244)),
        cloud((250, 252, 255), rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.18), 0.26),
        cloud((250, 252, 255), rng.uniform(0.7, 0.9), rng.uniform(0.08, 0.22), 0.2),
        ground((52, 122, 186), horizon),
        *waves,
    ]


def beach(rng: random.Random) -> list[Patch]:
    edge = [(x, rng.uniform(0.6, 0.66)) for x in (-0.05, 0.25, 0.5, 0.75, 1.05)]
    sun_x = rng.uniform(0.1, 0.2) if rng.random() < 0.5 else rng.uniform(0.8, 0.9)
    speckles = [disc((206, 170, 112), rng.uniform(0, 1), rng.uniform(0.76, 0.98), 0.008) for _ in range(14)]
    return [
        sky((126, 214, 240)),
        disc((255, 240, 150), sun_x, 0.13, 0.085),
        ground((28, 150, 172), rng.uniform(0.42, 0.47)),
        hills((244, 222, 166), 0.66, 0.02, rng),
        streak((250, 252, 250), 0.02, *edge),
        *speckles,
    ]


def night(rng: random.Random) -> list[Patch]:
    stars = [
        disc((240, 236, 200), rng.uniform(0, 1), rng.uniform(0, 0.55), rng.choice((0.004, 0.007))) for _ in range(26)
    ]
    x, y = (rng.uniform(0.1, 0.2) if rng.random() < 0.5 else rng.uniform(0.8, 0.9)), 0.14
    outer = arc_points(x, y, 0.09, 0.09, 50, 270)
    inner = arc_points(x + 0.036, y - 0.008, 0.075, 0.075, 270, 50)
    moon = backdrop_patch(np.concatenate([outer, inner]), (250, 240, 190), "feature")
    return [
        sky((22, 30, 74)),
        *stars,
        moon,
        hills((16, 24, 50), 0.72, 0.04, rng),
        hills((10, 16, 34), 0.84, 0.03, rng),
    ]


def space(rng: random.Random) -> list[Patch]:
    stars = [
        disc((255, 255, 255), rng.uniform(0, 1), rng.uniform(0, 1), rng.choice((0.004, 0.006, 0.009)))
        for _ in range(44)
    ]
    x, y = rng.choice((0.13, 0.87)), rng.uniform(0.1, 0.16)
    earth_x = rng.uniform(0.2, 0.8)
    return [
        sky((8, 6, 20)),
        *stars,
        disc((196, 146, 96), x, y, 0.075),
        streak((240, 214, 160), 0.014, (x - 0.13, y + 0.045), (x, y + 0.016), (x + 0.13, y - 0.045)),
        disc((74, 62, 120), earth_x, 1.28, 0.6, 0.42),
        disc((56, 46, 98), earth_x - 0.2, 0.97, 0.07, 0.025),
        disc((56, 46, 98), earth_x + 0.15, 0.94, 0.05, 0.018),
    ]


def snow(rng: random.Random) -> list[Patch]:
    flakes = [
        disc((255, 255, 255), rng.uniform(0, 1), rng.uniform(0, 0.98), rng.choice((0.008, 0.013))) for _ in range(40)
    ]
    firs = []
    for x in (rng.uniform(0.03, 0.1), rng.uniform(0.16, 0.24), rng.uniform(0.88, 0.97)):
        for y, width in ((0.42, 0.05), (0.5, 0.065), (0.58, 0.08)):
            firs.append(feature((122, 150, 158), (x, y - 0.07), (x + width, y + 0.05), (x - width, y + 0.05)))
    return [
        sky((204, 216, 228)),
        *firs,
        hills((226, 234, 242), 0.62, 0.03, rng),
        hills((246, 249, 252), 0.76, 0.03, rng),
        *flakes,
    ]


def mountains(rng: random.Random) -> list[Patch]:
    patches = [sky((196, 204, 236))]
    for x, peak, half in ((0.2, 0.16, 0.36), (0.84, 0.2, 0.38), (0.52, 0.3, 0.32)):
        x, peak = x + rng.uniform(-0.06, 0.06), peak + rng.uniform(-0.04, 0.04)
        slope = half / (0.72 - peak)
        patches.append(area((112, 112, 146), (x, peak), (x + half, 0.72), (x - half, 0.72)))
        cap = 0.12
        patches.append(
            feature(
                (248, 250, 255),
                (x, peak),
                (x + slope * cap, peak + cap),
                (x + slope * 0.04, peak + cap * 0.7),
                (x - slope * 0.03, peak + cap * 1.15),
                (x - slope * cap, peak + cap),
            )
        )
    return [*patches, hills((104, 138, 98), 0.7, 0.02, rng)]


BACKDROPS = {
    "sea": sea,
    "beach": beach,
    "night": night,
    "space": space,
    "snow": snow,
    "mountains": mountains,
}
