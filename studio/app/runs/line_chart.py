"""A chart of lines as SVG in HTML: axes, at most a thousand points, a legend, in the page's own colours.

Gradio's own chart keeps the series that it was first drawn with, so that after another run is chosen it shows nothing
of it; it also loads half a megabyte of scripts. This one is text, drawn anew each time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from studio.runs.metrics import thinned

MOST_POINTS = 1000
_WIDTH, _HEIGHT = 720, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 12, 44
_COLOURS = (
    *("#6366f1", "#d97706", "#059669", "#dc2626", "#0284c7"),
    *("#a855f7", "#65a30d", "#db2777", "#0d9488", "#ea580c"),
)
"""Of the lines, in their order; each stands out from white and from the dark theme's grey."""


@dataclass(frozen=True)
class Line:
    """One series as it is to be drawn."""

    title: str
    steps: np.ndarray
    values: np.ndarray
    faint: bool = False
    """Drawn thin and pale, as what another line smooths."""


@dataclass(frozen=True)
class _Scale:
    """From values to places on the picture, in px."""

    low: float
    high: float
    start_px: float
    end_px: float

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start_px + share * (self.end_px - self.start_px)


def line_chart(
    lines: Sequence[Line], title: str, across: str, *, logarithmic: bool = False, points: int = MOST_POINTS
) -> str:
    """Return a chart as HTML in which everything is escaped; empty when no line has a point.

    Where there is less room than its letters need, it scrolls to the side.

    Args:
        title: of the values, beside their axis.
        across: title of the steps.
        logarithmic: the values on a logarithmic scale; those that are not above 0 are left out.
        points: at most so many are drawn, of all lines together.
    """
    shown = drawn_points(lines, logarithmic=logarithmic, points=points)
    if not shown:
        return ""
    values = np.concatenate([values for _, _, values in shown])
    steps = np.concatenate([steps for _, steps, _ in shown])
    x = _scale(steps, _LEFT, _WIDTH - _RIGHT, margin=0.0)
    y = _scale(np.log10(values) if logarithmic else values, _HEIGHT - _BOTTOM, _TOP, margin=0.04)
    parts = [_axes(x, y, title, across, logarithmic=logarithmic)]
    legend = []
    for number, (line, own_steps, own_values) in enumerate(shown):
        colour = _COLOURS[number % len(_COLOURS)]
        heights = np.log10(own_values) if logarithmic else own_values
        parts.append(_line(line, colour, x, y, own_steps, heights))
        legend.append(f'<li><span style="background:{colour}"></span>{escape(line.title)}</li>')
    last = "; ".join(f"{line.title} {values[-1]:.4g}" for line, _, values in shown)
    label = escape(f"{title}. {last}", quote=True)
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    box = f'<div class="studio-wide" role="region" tabindex="0" aria-label="{escape(title, quote=True)}">{svg}</div>'
    return f'<div class="studio-chart">{box}<ul>{"".join(legend)}</ul></div>'


def drawn_points(
    lines: Sequence[Line], *, logarithmic: bool = False, points: int = MOST_POINTS
) -> list[tuple[Line, np.ndarray, np.ndarray]]:
    """Return each line with the steps and values that are drawn of it; lines without any are left out."""
    each = max(4, points // max(1, len(lines)))
    found = []
    for line in lines:
        places = thinned(line.steps, line.values, each)
        steps, values = np.asarray(line.steps, float)[places], np.asarray(line.values, float)[places]
        good = np.isfinite(values) & ((values > 0) | (not logarithmic))
        if good.any():
            found.append((line, steps[good], values[good]))
    return found


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round values (1, 2 or 5 times a power of ten apart) from low to high, at most so many."""
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _scale(values: np.ndarray, start_px: float, end_px: float, *, margin: float) -> _Scale:
    low, high = float(values.min()), float(values.max())
    spare = (high - low) * margin if high > low else abs(high) * 0.1 or 1.0
    return _Scale(low - spare, high + spare, start_px, end_px)


def _axes(x: _Scale, y: _Scale, title: str, across: str, *, logarithmic: bool) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in ticks(y.low, y.high, 10):
        place = f"{y.place(value):.1f}"
        parts.append(f'<line class="studio-grid" x1="{_LEFT}" x2="{right}" y1="{place}" y2="{place}"/>')
        said = f"{10**value if logarithmic else value:.3g}"
        parts.append(f'<text x="{_LEFT - 8}" y="{place}" text-anchor="end" dominant-baseline="middle">{said}</text>')
    for value in ticks(x.low, x.high, 9):
        place = f"{x.place(value):.1f}"
        parts.append(f'<line class="studio-grid" x1="{place}" x2="{place}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{place}" y="{bottom + 16}" text-anchor="middle">{value:,.6g}</text>')
    middle = (_TOP + bottom) / 2
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>')
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(title)}</text>'
    )
    return "".join(parts)


def _line(line: Line, colour: str, x: _Scale, y: _Scale, steps: np.ndarray, heights: np.ndarray) -> str:
    places = [(x.place(step), y.place(height)) for step, height in zip(steps.tolist(), heights.tolist(), strict=True)]
    named = f"<title>{escape(line.title)}</title>"
    if len(places) == 1:
        return f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="4" fill="{colour}">{named}</circle>'
    course = " ".join(f"{across:.1f},{up:.1f}" for across, up in places)
    look = 'stroke-width="1.2" stroke-opacity="0.45"' if line.faint else 'stroke-width="2.2"'
    return f'<polyline points="{course}" fill="none" stroke="{colour}" {look}>{named}</polyline>'
