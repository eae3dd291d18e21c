"""A grid's scores as CSV; the judge is named in every line."""

import csv
import io
import math
from collections.abc import Sequence

from pipelines.compare.grid import LOOK_AXES
from pipelines.compare.scores import LookSummary, ScoredCell
from pipelines.judge import Judge


def grid_csv(scored: Sequence[ScoredCell], judge: Judge) -> str:
    """Return one line per cell: places, the axes that the grid uses, request and scores."""
    buffer = io.StringIO()
    styles = sorted({name for item in scored for name in item.style_scores})
    axes = [axis for axis in LOOK_AXES if axis != "blend" and any(axis in item.cell.axes for item in scored)]
    writer = csv.writer(buffer, lineterminator="\n")
    heads = ["page", "row", "column", "look", *axes, "base", "prompt", "seed", "steps", "guidance", "adapters", "blend"]
    writer.writerow([*heads, "subject", "subject_clip_t", "clip_t", *(f"clip_i:{name}" for name in styles), "judge"])
    for item in scored:
        request, cell = item.cell.request, item.cell
        weights = dict(request.weights)
        blend = ""
        if request.recipe is not None:
            weights = {found.adapter: found.weight for found in request.recipe.active()}
            settings = "".join(f" {key}={value}" for key, value in request.recipe.settings.items())
            blend = request.recipe.blend + settings
        places = [cell.page, cell.row, cell.column, cell.look, *(cell.axes.get(axis, "") for axis in axes)]
        asked = [cell.base, request.prompt, request.seed, request.steps, f"{request.guidance:g}"]
        adapters = " ".join(f"{name}:{weight:g}" for name, weight in weights.items())
        scores = [item.subject_score, item.prompt_score, *(item.style_scores[name] for name in styles)]
        written = [f"{score:.4f}" for score in scores]
        writer.writerow([*places, *asked, adapters, blend, cell.subject, *written, judge_name(judge)])
    return buffer.getvalue()


def means_csv(summaries: Sequence[LookSummary], judge: Judge) -> str:
    """Return one line per look: means, half-widths of 95 % intervals over seeds, and shares."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    heads, lines = _means(summaries)
    writer.writerow([*heads, "judge"])
    writer.writerows([*line, judge_name(judge)] for line in lines)
    return buffer.getvalue()


def judge_name(judge: Judge) -> str:
    """Return what tells a judge from another: name and fingerprint."""
    return f"{judge.name}:{judge.fingerprint[:12]}"


def _means(summaries: Sequence[LookSummary]) -> tuple[list[str], list[list[str]]]:
    styles = sorted({name for summary in summaries for name in summary.style_scores})
    heads = ["look", "pictures", "seeds", "subject kept", "subject kept ±", "subject_clip_t", "subject_clip_t ±"]
    heads += ["clip_t", "clip_t ±"]
    for name in styles:
        heads += [f"clip_i:{name}", f"clip_i:{name} ±", f"style:{name}"]
    lines = []
    for item in summaries:
        line = [
            item.label,
            str(item.pictures),
            str(item.seeds),
            _shown(item.subject_kept),
            _shown(item.kept_half_width),
        ]
        line += [f"{item.subject_score:.4f}", _shown(item.subject_half_width)]
        line += [f"{item.prompt_score:.4f}", _shown(item.prompt_half_width)]
        for name in styles:
            line += [f"{item.style_scores[name]:.4f}", _shown(item.style_half_widths.get(name))]
            line.append(_shown(item.style_shares.get(name)))
        lines.append(line)
    return heads, lines


def _shown(value: float | None) -> str:
    return f"{value:.4f}" if value is not None and math.isfinite(value) else ""
