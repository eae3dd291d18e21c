"""The styles: one file each, with a record STYLE, found by looking into this folder."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType

from .style import Style

__all__ = ["Style", "all_styles"]


@lru_cache(maxsize=1)
def all_styles() -> Mapping[str, Style]:
    """Every style by name: `flat` first, then the base styles, then the held-out ones."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if found.name != "style"]
    records = [import_module(f"{__name__}.{name}").STYLE for name in names]
    records.sort(key=lambda style: (style.held_out, style.name != "flat", style.name))
    return MappingProxyType({style.name: style for style in records})
