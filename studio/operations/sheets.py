"""What is written on a comparison sheet: scores under the cells, means under the columns."""

import math
from collections.abc import Sequence

from pipelines.compare.scores import LookSummary, ScoredCell
from pipelines.compare.sheet import SheetCell
from pipelines.compare.tables import picture_lines
from pipelines.metrics import Column, adapters_in, columns, find_metric


def sheet_cells(scored: Sequence[ScoredCell]) -> list[SheetCell]:
    """Return the cells with their scores as lines."""
    return [SheetCell(item.cell.row, item.cell.column, item.picture, tuple(picture_lines(item))) for item in scored]


def column_notes(page: Sequence[ScoredCell], summaries: Sequence[LookSummary]) -> dict[str, list[str]]:
    """Return the lines under each column's label, such as how much of each style arrived.

    Args:
        page: the cells of one sheet; a column that shows several looks has no lines.
        summaries: of all looks.
    """
    by_look = {summary.label: summary_lines(summary) for summary in summaries}
    looks: dict[str, set[str]] = {}
    for item in page:
        looks.setdefault(item.cell.column, set()).add(item.cell.look)
    return {column: by_look[next(iter(own))] for column, own in looks.items() if len(own) == 1}


def summary_lines(summary: LookSummary) -> list[str]:
    """Return one look's values as lines, those of adapters first; what cannot be told has no line."""
    shown = [column for column in columns(adapters_in(summary.means)) if column.metric.above_columns]
    lines = []
    for column in sorted(shown, key=lambda column: not column.adapter):
        if math.isnan(summary.value(column.metric.name, column.adapter)) and column.metric.instead:
            column = Column(find_metric(column.metric.instead), column.adapter)
        if words := _value_words(summary, column):
            lines.append(f"{column.short()} {words}")
    return lines


def subject_words(summary: LookSummary) -> str:
    """Return the share of the subject that is left with its interval, else the CLIP-T itself."""
    kept = _value_words(summary, Column(find_metric("subject_kept")))
    return kept or f"CLIP-T {_value_words(summary, Column(find_metric('subject_clip_t')))}"


def _value_words(summary: LookSummary, column: Column) -> str:
    mean = summary.mean(column.key)
    if not math.isfinite(mean.value):
        return ""
    if not column.metric.share:
        return f"{mean.value:.3f}"
    return f"{mean.value:.0%}" + (f" ± {mean.half_width:.0%}" if math.isfinite(mean.half_width) else "")
