"""The points of a chart over several runs: raw and smoothed, thinned out so that a browser draws them at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from studio.metrics import Metrics, thinned

MOST_POINTS = 1000
COLUMNS = ("step", "value", "series")


@dataclass(frozen=True)
class Line:
    """One series as it is to be drawn."""

    title: str
    steps: np.ndarray
    values: np.ndarray


def loss_lines(runs: Mapping[str, Metrics], smoothing: float, raw: str, smoothed: str, validation: str) -> list[Line]:
    """Return the lines of the losses of some runs.

    Args:
        smoothing: 0 draws the raw loss alone; 0.9 averages over about ten steps.
        raw, smoothed, validation: what the lines are called beside the run's name.
    """
    lines = []
    for name, metrics in runs.items():
        steps, values = metrics.points("loss")
        if len(steps):
            lines.append(Line(f"{name}: {raw}", steps, values))
            if smoothing > 0:
                lines.append(Line(f"{name}: {smoothed}", steps, _smooth(values, smoothing)))
        if "validation_loss" in metrics.series:
            lines.append(Line(f"{name}: {validation}", *metrics.points("validation_loss")))
    return lines


def measure_lines(runs: Mapping[str, Metrics]) -> list[Line]:
    """Return whatever else a kind of run measures on its way, such as an accuracy."""
    drawn = ("loss", "validation_loss", "gradient_norm")
    return [
        Line(f"{name}: {key.replace('_', ' ')}", *metrics.points(key))
        for name, metrics in runs.items()
        for key in metrics.series
        if key not in drawn and not key.startswith("learning_rates.")
    ]


def rate_lines(runs: Mapping[str, Metrics]) -> list[Line]:
    """Return the learning rates of some runs by part."""
    return [
        Line(f"{name}: {key.partition('.')[2]}", *metrics.points(key))
        for name, metrics in runs.items()
        for key in metrics.series
        if key.startswith("learning_rates.")
    ]


def frame_of(lines: Sequence[Line], *, logarithmic: bool = False, points: int = MOST_POINTS) -> pd.DataFrame | None:
    """Return what `gr.LinePlot` draws, at most so many points in all; without values that are not finite.

    None stands for no points.

    Args:
        logarithmic: the values' base-10 logarithms; values that have none are left out.
    """
    each = max(4, points // max(1, len(lines)))
    columns: dict[str, list] = {name: [] for name in COLUMNS}
    for line in lines:
        places = thinned(line.steps, line.values, each)
        for step, value in zip(line.steps[places].tolist(), line.values[places].tolist(), strict=True):
            if math.isfinite(value) and (value > 0 or not logarithmic):
                columns["step"].append(step)
                columns["value"].append(math.log10(value) if logarithmic else value)
                columns["series"].append(line.title)
    return pd.DataFrame(columns) if columns["step"] else None  # the chart takes an empty column for one of numbers


def _smooth(values: np.ndarray, smoothing: float) -> np.ndarray:
    """Return the exponential moving average, not pulled by a start at zero; steps without a value change nothing."""
    return pd.Series(values).ewm(alpha=1 - smoothing, ignore_na=True).mean().to_numpy()
