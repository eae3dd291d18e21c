"""What a blend's file states."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.deltas import LowRankDelta


@dataclass(frozen=True)
class Blend:
    """One way to combine adapters, as facts."""

    name: str
    title: str
    source: str
    """Formula, and where it comes from."""
    combine: Callable[[Sequence[LowRankDelta], Sequence[float]], LowRankDelta]
    """(one layer's deltas, their weights) -> the layer's delta."""
    exact: bool
    """Whether the result equals the weighted sum of the deltas, so that the file can be proved against it."""
