"""All pictures of one look, and how a metric sums them up: means, and intervals over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.compare.scores import ScoredCell

# Two-sided 95 % quantiles of Student's t by degrees of freedom, 1 to 30; beyond that the normal's.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
      2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)  # fmt: skip
_NORMAL = 1.960


@dataclass(frozen=True)
class Mean:
    """A look's value of one metric."""

    value: float = math.nan
    """Not a number where it cannot be told."""
    half_width: float = math.nan
    """Of the 95 % interval over seeds; not a number where there is none, as with one seed."""


@dataclass(frozen=True)
class Look:
    """The pictures of one look with what was measured of each."""

    cells: Sequence[ScoredCell]
    base: Sequence[ScoredCell] | None
    """The base's own pictures in the same setting; None where the grid has none."""
    references: Mapping[str, Tensor]
    """Adapter -> the judge's embeddings [m, d] of its training pictures."""

    def mean(self, column: str) -> float:
        """Return the mean of a column over the look's pictures."""
        return statistics.fmean(item.scores[column] for item in self.cells)

    def base_mean(self, column: str) -> float:
        """Return the mean of a column over the base's own pictures, which must be there."""
        assert self.base is not None, "only metrics that need the base ask for it"
        return statistics.fmean(item.scores[column] for item in self.base)

    def changes(self, column: str) -> list[float]:
        """Return for each picture its score less that of the base's picture of the same prompt and seed.

        Where the grid has no such picture, the base's mean stands for it.
        """
        mean = self.base_mean(column)
        beside = {_place(item): item.scores[column] for item in self.base or ()}
        return [item.scores[column] - beside.get(_place(item), mean) for item in self.cells]

    def half_width(self, scores: Sequence[float]) -> float:
        """Return the half-width of the interval of the mean of one score for each picture.

        Each seed counts once: the pictures of its prompts share their noise.
        """
        by_seed: dict[int, list[float]] = {}
        for item, score in zip(self.cells, scores, strict=True):
            by_seed.setdefault(item.cell.request.seed, []).append(score)
        return half_width([statistics.fmean(found) for found in by_seed.values()])


def mean_over_seeds(look: Look, column: str) -> Mean:
    """Return a column's mean and its interval."""
    return Mean(look.mean(column), look.half_width([item.scores[column] for item in look.cells]))


def half_width(values: Sequence[float]) -> float:
    """Return t · s / √n of the 95 % interval of a mean (Student 1908); not a number of fewer than two values."""
    count = len(values)
    if count < 2:
        return math.nan
    quantile = _T[count - 2] if count - 1 <= len(_T) else _NORMAL
    return quantile * statistics.stdev(values) / math.sqrt(count)


def _place(item: ScoredCell) -> tuple[str, int]:
    return item.cell.request.prompt, item.cell.request.seed
