"""What is written on a comparison sheet: scores under the cells, means under the columns."""

import math
from collections.abc import Sequence

from pipelines.compare.scores import LookSummary, ScoredCell
from pipelines.compare.sheet import SheetCell


def sheet_cells(scored: Sequence[ScoredCell]) -> list[SheetCell]:
    """Return the cells with their scores as lines."""
    return [
        SheetCell(item.cell.row, item.cell.column, item.picture, (_subject_line(item), *_style_lines(item)))
        for item in scored
    ]


def column_notes(page: Sequence[ScoredCell], summaries: Sequence[LookSummary]) -> dict[str, list[str]]:
    """Return the lines under each column's label: how much of each style arrived, how much of the subject is left.

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
    """Return one look's means as lines."""
    lines = [f"{name} style {share:.0%}" for name, share in summary.style_shares.items() if math.isfinite(share)]
    kept = subject_words(summary)
    return [*lines, kept if summary.subject_kept is None else f"subject kept {kept}"]


def subject_words(summary: LookSummary) -> str:
    """Return the share of the subject that is left with its interval, else the CLIP-T itself."""
    if summary.subject_kept is None:
        return f"CLIP-T {summary.subject_score:.3f}"
    width = f" ± {summary.kept_half_width:.0%}" if math.isfinite(summary.kept_half_width) else ""
    return f"{summary.subject_kept:.0%}{width}"


def _subject_line(item: ScoredCell) -> str:
    return f"CLIP-T {item.cell.subject} {item.subject_score:.3f}"


def _style_lines(item: ScoredCell) -> list[str]:
    return [f"CLIP-I {name} {score:.3f}" for name, score in item.style_scores.items()]
