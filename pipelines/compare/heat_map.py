"""A table of numbers as a picture: one row per block, one column per measure, coloured by value."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from pipelines.compare.sheet import INK, PAPER, SOFT_INK, fit_text, sheet_font

_CELL_PX = (112, 30)
_GAP_PX = 10
"""Between the rows of two parts."""
_LABEL_PX = 240
_COLD, _NEUTRAL, _HOT = (56, 108, 176), (246, 247, 249), (203, 67, 53)


@dataclass(frozen=True)
class Measure:
    """One column: how its values are written and coloured."""

    title: str
    low: float
    """Coloured cold."""
    high: float
    """Coloured hot."""
    form: str = "{:.2f}"
    neutral: float | None = None
    """Coloured like the paper; empty: `low`, so that only high values stand out."""
    ratio: bool = False
    """Whether twice and half are equally far from each other; all values are above 0 then."""


def draw_heat_map(
    rows: Mapping[str, Sequence[float]], measures: Sequence[Measure], *, title: str, subtitle: str = ""
) -> Image.Image:
    """Return the table as RGB; a value that is not a number stays empty."""
    width_px, height_px = _CELL_PX
    top_px = 96
    parts = [label.rpartition(" ")[0] for label in rows]
    gaps = [sum(a != b for a, b in itertools.pairwise(parts[: line + 1])) * _GAP_PX for line in range(len(rows))]
    width = _LABEL_PX + len(measures) * width_px + 32
    picture = Image.new("RGB", (max(width, 560), top_px + len(rows) * height_px + max(gaps, default=0) + 24), PAPER)
    draw = ImageDraw.Draw(picture)
    small, body, bold = (sheet_font(size) for size in (12, 14, 20))
    draw.text((16, 12), fit_text(title, bold, picture.width - 32), INK, bold)
    draw.text((16, 42), fit_text(subtitle, small, picture.width - 32), SOFT_INK, small)
    for number, measure in enumerate(measures):
        middle = _LABEL_PX + number * width_px + (width_px - 3) / 2
        draw.text((middle, 86), fit_text(measure.title, small, width_px - 8), INK, small, "ms")
    for line, (label, values) in enumerate(rows.items()):
        y = top_px + line * height_px + gaps[line]
        draw.text((16, y + 6), fit_text(label, body, _LABEL_PX - 24), INK, body)
        for number, (measure, value) in enumerate(zip(measures, values, strict=True)):
            if not math.isfinite(value):
                continue
            x = _LABEL_PX + number * width_px
            colour = value_colour(value, measure)
            draw.rectangle((x, y, x + width_px - 3, y + height_px - 3), fill=colour)
            centre = (x + (width_px - 3) / 2, y + (height_px - 3) / 2)
            draw.text(centre, measure.form.format(value), _ink_on(colour), body, "mm")
    return picture


def value_colour(value: float, measure: Measure) -> tuple[int, int, int]:
    """Return the colour of a value: cold below the neutral value, hot above it, stronger the further away."""
    neutral = measure.low if measure.neutral is None else measure.neutral
    end, goal = (measure.high, _HOT) if value >= neutral else (measure.low, _COLD)
    if measure.ratio:
        value, neutral, end = (math.log(max(number, 1e-12)) for number in (value, neutral, end))
    share = min(1.0, abs(value - neutral) / (abs(end - neutral) or 1.0))
    red, green, blue = (round(n + (g - n) * share) for n, g in zip(_NEUTRAL, goal, strict=True))
    return red, green, blue


def _ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the ink with the greater contrast (WCAG 2.2, relative luminance)."""

    def luminance(rgb: tuple[int, int, int]) -> float:
        linear = [c / 12.92 if (c := part / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for part in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(ink: tuple[int, int, int]) -> float:
        low, high = sorted((luminance(ink), luminance(colour)))
        return (high + 0.05) / (low + 0.05)

    return max((INK, PAPER), key=contrast)
