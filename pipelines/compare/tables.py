"""A grid's scores as CSV; the judge is named in every line."""

import csv
import io
import math
from collections.abc import Sequence

from pipelines.compare.grid import LOOK_AXES
from pipelines.compare.scores import LookSummary, ScoredCell
from pipelines.judge import Judge
from pipelines.metrics import Column, adapters_in, columns


def grid_csv(scored: Sequence[ScoredCell], judge: Judge) -> str:
    """Return one line per cell: places, the axes that the grid uses, request and scores."""
    buffer = io.StringIO()
    measured = [column for column in columns_of(scored) if column.metric.measure is not None]
    axes = [axis for axis in LOOK_AXES if axis != "blend" and any(axis in item.cell.axes for item in scored)]
    writer = csv.writer(buffer, lineterminator="\n")
    heads = [
        "page",
        "row",
        "column",
        "look",
        *axes,
        "base",
        "prompt",
        "seed",
        "num_inference_steps",
        "guidance_scale",
        "sampler",
    ]
    heads += ["adapters", "blend"]
    writer.writerow([*heads, "subject", *(column.key for column in measured), "judge"])
    for item in scored:
        request, cell = item.cell.request, item.cell
        weights = dict(request.weights)
        blend = ""
        if request.recipe is not None:
            weights = {found.adapter: found.weight for found in request.recipe.active()}
            settings = "".join(f" {key}={value}" for key, value in request.recipe.settings.items())
            blend = request.recipe.blend + settings
        places = [cell.page, cell.row, cell.column, cell.look, *(cell.axes.get(axis, "") for axis in axes)]
        asked = [
            cell.base,
            request.prompt,
            request.seed,
            request.num_inference_steps,
            f"{request.guidance_scale:g}",
            request.sampler,
        ]
        adapters = " ".join(f"{name}:{weight:g}" for name, weight in weights.items())
        written = [_shown(item.scores[column.key]) for column in measured]
        writer.writerow([*places, *asked, adapters, blend, cell.subject, *written, judge_name(judge)])
    return buffer.getvalue()


def means_csv(summaries: Sequence[LookSummary], judge: Judge) -> str:
    """Return one line per look: what every metric says, with half-widths of 95 % intervals over seeds."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    heads, lines = _means(summaries)
    writer.writerow([*heads, "judge"])
    writer.writerows([*line, judge_name(judge)] for line in lines)
    return buffer.getvalue()


def judge_name(judge: Judge) -> str:
    """Return what tells a judge from another: name and fingerprint."""
    return f"{judge.name}:{judge.fingerprint[:12]}"


def columns_of(found: Sequence[ScoredCell] | Sequence[LookSummary]) -> list[Column]:
    """Return the columns of a table of cells or looks, its adapters by name."""
    keys = [item.scores if isinstance(item, ScoredCell) else item.means for item in found]
    return columns(sorted(adapters_in(key for own in keys for key in own)))


def picture_lines(item: ScoredCell) -> list[str]:
    """Return what stands below a picture, a line for each metric that shows itself there."""
    measured = [column for column in columns(adapters_in(item.scores)) if column.key in item.scores]
    shown = [column for column in measured if column.metric.below_pictures]
    return [f"{column.short(item.cell.subject)} {item.scores[column.key]:.3f}" for column in shown]


def descriptions(shown: Sequence[Column]) -> str:
    """Return what columns mean, each metric once."""
    return " ".join(dict.fromkeys(column.metric.english.description for column in shown))


def _means(summaries: Sequence[LookSummary]) -> tuple[list[str], list[list[str]]]:
    shown = columns_of(summaries)
    heads = ["look", "pictures", "seeds"]
    for column in shown:
        heads += [column.key, f"{column.key} ±"] if column.metric.interval else [column.key]
    lines = []
    for item in summaries:
        line = [item.label, str(item.pictures), str(item.seeds)]
        for column in shown:
            mean = item.mean(column.key)
            line += [_shown(mean.value), _shown(mean.half_width)] if column.metric.interval else [_shown(mean.value)]
        lines.append(line)
    return heads, lines


def _shown(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""
