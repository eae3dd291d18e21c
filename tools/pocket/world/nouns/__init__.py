"""The things of the world. Each file holds some nouns as functions that return shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from ..shapes import Shape, fitted
from . import animals, buildings, household, nature, objects, vehicles

DRAWINGS: Mapping[str, Callable[[], list[Shape]]] = MappingProxyType(
    {
        **vehicles.DRAWINGS,
        **buildings.DRAWINGS,
        **nature.DRAWINGS,
        **animals.DRAWINGS,
        **household.DRAWINGS,
        **objects.DRAWINGS,
    }
)
NOUNS: tuple[str, ...] = tuple(DRAWINGS)


@cache
def noun_shapes(noun: str) -> tuple[Shape, ...]:
    """The shapes of one noun, back to front, fitted to the square from -1 to 1."""
    return fitted(DRAWINGS[noun]())
