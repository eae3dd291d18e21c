"""What a metric's file states."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.metrics._look import Look, Mean, mean_over_seeds
from pipelines.metrics._pictures import Pictures


@dataclass(frozen=True)
class MetricText:
    """A metric in one language."""

    title: str
    """The column's head; ``{adapter}`` becomes the adapter's name."""
    description: str
    """A sentence for readers of the table: what the ends of the scale mean."""


@dataclass(frozen=True)
class Metric:
    """One metric of images, as facts. Listing metrics loads no model library: import torch inside the functions."""

    name: str
    """The column's name in CSV files."""
    english: MetricText
    short: str
    """Words before the value where there is little room; ``{adapter}`` and ``{subject}`` are filled in."""
    measure: Callable[[Pictures, str], Sequence[float]] | None = None
    """(pictures, adapter) -> one value for each picture; None for what only a whole look has.

    The adapter is empty unless the metric is `by_adapter`.
    """
    summarise: Callable[[Look, str], Mean] | None = None
    """(the pictures of one look, adapter) -> its value; None takes the mean of `measure`, seed by seed."""
    by_adapter: bool = False
    """Whether it has a column for each adapter, because it needs the embeddings of its training pictures."""
    needs_base: bool = False
    """Whether a look's value needs the base's own pictures in the grid; without them it stays empty."""
    interval: bool = True
    """Whether a look's value comes with a half-width of the 95 % interval over seeds."""
    better: Literal["higher", "lower", ""] = ""
    """Which values are the better ones; empty where neither is."""
    share: bool = False
    """Whether the value is a share, written in percent."""
    below_pictures: bool = False
    """Whether a sheet and the page show it below every picture."""
    above_columns: bool = False
    """Whether a sheet shows a look's value below the head of its column."""
    instead: str = ""
    """The metric that a sheet shows above a column where this one cannot be told."""
    hidden: bool = False
    """Whether it only serves other metrics and is no column."""
    place: int = 0
    """Columns stand in this order, equal ones by name."""

    def of_look(self, look: Look, adapter: str) -> Mean:
        """Return a look's value; not a number where it cannot be told."""
        if self.needs_base and look.base is None:
            return Mean()
        if self.summarise is not None:
            return self.summarise(look, adapter)
        return mean_over_seeds(look, f"{self.name}:{adapter}" if adapter else self.name)
