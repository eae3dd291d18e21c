"""The lines of a chart over several runs: losses raw and smoothed, learning rates, and what else is measured."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from studio.app.runs.line_chart import Line
from studio.runs.metrics import Metrics


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
            lines.append(Line(f"{name}: {raw}", steps, values, faint=smoothing > 0))
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


def _smooth(values: np.ndarray, smoothing: float) -> np.ndarray:
    """Return the exponential moving average, not pulled by a start at zero; steps without a value change nothing."""
    return pd.Series(values).ewm(alpha=1 - smoothing, ignore_na=True).mean().to_numpy()
