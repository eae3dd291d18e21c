"""What a sampler's file states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DIFFUSION = frozenset({"epsilon", "v_prediction"})
FLOW = frozenset({"flow"})


@dataclass(frozen=True)
class Sampler:
    """One sampler, as facts. Import diffusers inside the function."""

    name: str
    """The word used in commands."""
    title: str
    """As AUTOMATIC1111 and its relatives call it, and write it into their pictures."""
    source: str
    """Paper and equation."""
    build: Callable[[Mapping[str, Any]], Any]
    """The config of the base's own scheduler -> a scheduler of diffusers with the same noise levels.

    It must draw nothing at random and take one step for each step that is asked for.
    """
    predictions: frozenset[str] = DIFFUSION
    """What the bases that it suits predict."""
