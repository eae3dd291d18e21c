"""Families of base models, one file each."""

import functools
import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.families._family import Family, ImageBase, LoadedBase, Part, TextBase
from trainers.registry import discover

__all__ = ["Family", "ImageBase", "LoadedBase", "Part", "TextBase", "families", "family_of", "known_parts"]


@functools.cache
def families() -> Mapping[str, Family]:
    """Return every family by name."""
    return discover(sys.modules[__name__], "FAMILY")


def family_of(folder: Path) -> Family | None:
    """Return the family of the base in a folder, by its JSON files alone; None where none knows it."""
    return next((family for family in families().values() if family.recognise(folder)), None)


def known_parts(role: str) -> Mapping[str, Part]:
    """Return every part of the families of a role (``picture``, ``text``) by name: denoisers, then text encoders."""
    found = {part.name: part for family in families().values() if family.role == role for part in family.parts}
    return dict(sorted(found.items(), key=lambda item: (item[1].kind, item[0])))
