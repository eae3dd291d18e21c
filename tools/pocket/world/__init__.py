"""A small world of captioned pictures, drawn from words in many styles."""

from __future__ import annotations

from .backdrops import SETTINGS
from .colours import COLOURS
from .nouns import NOUNS
from .render import draw, render_many
from .scene import POSITIONS, SIZES, Scene, Thing, caption, is_held_out, sample_scene
from .styles import all_styles
from .textures import random_texture

# Finding the styles imports one small module per style and draws nothing.
BASE_STYLES: tuple[str, ...] = tuple(s.name for s in all_styles().values() if not s.held_out)
HELD_OUT_STYLES: tuple[str, ...] = tuple(s.name for s in all_styles().values() if s.held_out)

__all__ = [
    "BASE_STYLES",
    "COLOURS",
    "HELD_OUT_STYLES",
    "NOUNS",
    "POSITIONS",
    "SETTINGS",
    "SIZES",
    "Scene",
    "Thing",
    "caption",
    "draw",
    "is_held_out",
    "random_texture",
    "render_many",
    "sample_scene",
]
