"""City and room."""

from __future__ import annotations

import random

from ..patch import Patch
from .parts import area, disc, feature, ground, sky, streak


def city(rng: random.Random) -> list[Patch]:
    patches = [sky((214, 210, 214))]
    x = -0.04
    while x < 1.0:
        width, top = rng.uniform(0.13, 0.2), rng.uniform(0.16, 0.42)
        wall = rng.choice(((112, 122, 146), (94, 104, 130), (134, 140, 158)))
        patches.append(area(wall, (x, top), (x + width, top), (x + width, 0.8), (x, 0.8)))
        for column in (0.22, 0.6):
            left = x + width * column
            for row in range(int((0.72 - top) / 0.1)):
                y = top + 0.05 + row * 0.1
                right, bottom = left + width * 0.2, y + 0.05
                lit = (250, 226, 140) if rng.random() < 0.7 else (70, 78, 100)
                patches.append(feature(lit, (left, y), (right, y), (right, bottom), (left, bottom)))
        x += width
    road = ground((66, 68, 76), 0.78)
    dashes = [streak((236, 232, 214), 0.018, (s, 0.9), (s + 0.12, 0.9)) for s in (0.02, 0.28, 0.54, 0.8)]
    return [*patches, road, *dashes]


def room(rng: random.Random) -> list[Patch]:
    floor = rng.uniform(0.68, 0.73)
    stripes = [
        area((240, 226, 198), (x, -0.02), (x + 0.07, -0.02), (x + 0.07, floor), (x, floor))
        for x in (0.0, 0.14, 0.28, 0.42, 0.56, 0.7, 0.84, 0.98)
    ]
    left = rng.choice((0.06, 0.74))
    window = [
        feature((255, 255, 252), (left, 0.08), (left + 0.2, 0.08), (left + 0.2, 0.36), (left, 0.36)),
        feature(
            (176, 214, 236),
            (left + 0.02, 0.1),
            (left + 0.18, 0.1),
            (left + 0.18, 0.34),
            (left + 0.02, 0.34),
        ),
        streak((255, 255, 252), 0.016, (left + 0.1, 0.1), (left + 0.1, 0.34)),
        streak((255, 255, 252), 0.016, (left + 0.02, 0.22), (left + 0.18, 0.22)),
    ]
    boards = [
        streak((146, 100, 66), 0.008, (x, floor + 0.02), (0.5 + (x - 0.5) * 1.7, 1.02))
        for x in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    rug = disc((206, 160, 132), rng.uniform(0.4, 0.6), 0.88, 0.36, 0.08)
    return [
        sky((250, 242, 224)),
        *stripes,
        *window,
        ground((176, 126, 86), floor),
        *boards,
        rug,
        area(
            (250, 246, 238),
            (-0.02, floor - 0.025),
            (1.02, floor - 0.025),
            (1.02, floor),
            (-0.02, floor),
        ),
    ]


BACKDROPS = {"city": city, "room": room}
