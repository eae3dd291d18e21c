"""Metrics of images, one file each. They are the columns of a comparison: its tables, its sheets and its page."""

import functools
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.metrics._look import Look, Mean, half_width
from pipelines.metrics._metric import Metric, MetricText
from pipelines.metrics._pictures import Pictures
from trainers.registry import discover, find

__all__ = [
    "Column",
    "Look",
    "Mean",
    "Metric",
    "MetricText",
    "Pictures",
    "adapters_in",
    "column_key",
    "columns",
    "find_metric",
    "half_width",
    "metrics",
]


@dataclass(frozen=True)
class Column:
    """A metric, and the adapter whose references it takes if it takes any."""

    metric: Metric
    adapter: str = ""

    @property
    def key(self) -> str:
        """What the column is called in tables."""
        return column_key(self.metric.name, self.adapter)

    def title(self) -> str:
        """Return the column's head in words."""
        return self.metric.english.title.format(adapter=self.adapter)

    def short(self, subject: str = "") -> str:
        """Return the words before its value where there is little room."""
        return " ".join(self.metric.short.format(adapter=self.adapter, subject=subject).split())


@functools.cache
def metrics() -> Mapping[str, Metric]:
    """Return every metric by name, in the order of the columns."""
    found = discover(sys.modules[__name__], "METRIC")
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))


def find_metric(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    return find("Metric", name, metrics())


def columns(adapters: Iterable[str] = ()) -> list[Column]:
    """Return the columns that tables show: those of no adapter first, then those of one adapter after another."""
    shown = [metric for metric in metrics().values() if not metric.hidden]
    plain = [Column(metric) for metric in shown if not metric.by_adapter]
    return plain + [Column(metric, name) for name in adapters for metric in shown if metric.by_adapter]


def column_key(name: str, adapter: str = "") -> str:
    """Return what a metric's column is called in tables, such as ``clip_t`` or ``clip_i:ink``."""
    return f"{name}:{adapter}" if adapter else name


def adapters_in(keys: Iterable[str]) -> list[str]:
    """Return the adapters that columns are of, in the order in which they first stand there."""
    return list(dict.fromkeys(adapter for key in keys if (adapter := key.partition(":")[2])))
