"""The settings. Each is a function from a random generator to patches, back to front."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..patch import Patch
from . import built, land, open_air

BACKDROPS: Mapping[str, Callable[[random.Random], list[Patch]]] = MappingProxyType(
    {**open_air.BACKDROPS, **land.BACKDROPS, **built.BACKDROPS}
)
SETTINGS: tuple[str, ...] = tuple(BACKDROPS)


def backdrop(setting: str, rng: random.Random) -> list[Patch]:
    """The patches of a setting; details vary with `rng`."""
    return BACKDROPS[setting](rng)
