"""Forest, desert, meadow and cave."""

from __future__ import annotations

import random

import numpy as np

from ..patch import Patch, backdrop_patch
from ..shapes import bumpy, smooth
from .parts import cloud, disc, feature, hills, sky, streak


def forest(rng: random.Random) -> list[Patch]:
    trunks = []
    for start in (0.02, 0.16, 0.32, 0.5, 0.66, 0.82, 0.95):
        x, half = start + rng.uniform(-0.04, 0.04), rng.uniform(0.016, 0.034)
        colour = rng.choice(((66, 78, 58), (78, 84, 60)))
        trunks.append(
            feature(
                colour,
                (x - half, 0.1),
                (x + half, 0.1),
                (x + half * 1.4, 0.76),
                (x - half * 1.4, 0.76),
            )
        )
    leaves = [
        backdrop_patch(bumpy("body", x, 0.02, 0.2, rng.uniform(0.13, 0.2), 7).points, colour, "feature")
        for x, colour in (
            (0.08, (38, 92, 58)),
            (0.4, (48, 108, 64)),
            (0.72, (38, 92, 58)),
            (1, (48, 108, 64)),
        )
    ]
    return [sky((128, 168, 122)), *trunks, hills((56, 92, 56), 0.74, 0.02, rng), *leaves]


def desert(rng: random.Random) -> list[Patch]:
    side = rng.choice((0.16, 0.84))
    return [
        sky((252, 226, 172)),
        disc((255, 250, 228), side, 0.17, 0.09),
        hills((236, 178, 110), 0.56, 0.06, rng),
        hills((222, 154, 84), 0.7, 0.05, rng),
        hills((204, 132, 66), 0.85, 0.04, rng),
    ]


def meadow(rng: random.Random) -> list[Patch]:
    blossoms = [
        disc(
            rng.choice(((255, 255, 255), (255, 226, 110))),
            rng.uniform(0, 1),
            rng.uniform(0.78, 0.98),
            0.013,
        )
        for _ in range(16)
    ]
    tufts = []
    for _ in range(9):
        x, y = rng.uniform(0, 1), rng.uniform(0.72, 0.97)
        tufts.append(streak((84, 148, 62), 0.01, (x - 0.015, y - 0.04), (x, y), (x + 0.018, y - 0.045)))
    return [
        sky((206, 234, 252)),
        cloud((255, 255, 255), rng.uniform(0.15, 0.85), rng.uniform(0.08, 0.16), 0.28),
        hills((170, 212, 124), 0.56, 0.05, rng),
        hills((136, 192, 92), 0.7, 0.03, rng),
        *tufts,
        *blossoms,
    ]


def cave(rng: random.Random) -> list[Patch]:
    mouth_x, mouth_y = rng.uniform(0.4, 0.6), 0.5
    angles = np.linspace(0, 2 * np.pi, 11)[:-1]
    radii = [rng.uniform(0.9, 1.1) for _ in angles]
    mouth = np.array(
        [(mouth_x + 0.4 * r * np.cos(a), mouth_y + 0.38 * r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
    )
    spikes = []
    for start in np.linspace(0.02, 0.98, 7):
        x, half = start + rng.uniform(-0.05, 0.05), rng.uniform(0.04, 0.07)
        tip = rng.uniform(0.12, 0.26)
        spikes.append(feature((34, 26, 26), (x - half, -0.02), (x + half, -0.02), (x, tip)))
    return [
        sky((62, 48, 44)),
        backdrop_patch(smooth(mouth, closed=True), (104, 82, 68), "ground"),
        *spikes,
        hills((42, 32, 30), 0.84, 0.04, rng),
    ]


BACKDROPS = {"forest": forest, "desert": desert, "meadow": meadow, "cave": cave}
