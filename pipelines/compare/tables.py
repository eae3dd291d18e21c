"""A grid's scores as CSV and as one HTML page; the judge is named in all of them."""

import csv
import html
import io
import math
from collections.abc import Mapping, Sequence

from pipelines.compare.scores import LookSummary, ScoredCell
from pipelines.judge import Judge

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1c1e24}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{padding:.35rem .8rem;text-align:right;"
    "border-bottom:1px solid #dee1e6}th:first-child,td:first-child{text-align:left}img{max-width:100%}"
    "p{color:#686e7a}"
)


def grid_csv(scored: Sequence[ScoredCell], judge: Judge) -> str:
    """Return one line per cell: axes, request and scores."""
    buffer = io.StringIO()
    styles = sorted({name for item in scored for name in item.style_scores})
    writer = csv.writer(buffer, lineterminator="\n")
    heads = [
        "page",
        "row",
        "column",
        "look",
        "base",
        "prompt",
        "seed",
        "steps",
        "guidance",
        "adapters",
        "blend",
        "asked",
    ]
    writer.writerow([*heads, "clip_t", *(f"clip_i:{name}" for name in styles), "judge"])
    for item in scored:
        request, cell = item.cell.request, item.cell
        weights = dict(request.weights)
        blend = ""
        if request.recipe is not None:
            weights = {found.adapter: found.weight for found in request.recipe.active()}
            settings = "".join(f" {key}={value}" for key, value in request.recipe.settings.items())
            blend = request.recipe.blend + settings
        axes = [cell.page, cell.row, cell.column, cell.look, cell.base, request.prompt, request.seed, request.steps]
        adapters = " ".join(f"{name}:{weight:g}" for name, weight in weights.items())
        scores = [f"{item.style_scores[name]:.4f}" for name in styles]
        asked = [f"{request.guidance:g}", adapters, blend, cell.asked, f"{item.prompt_score:.4f}"]
        writer.writerow([*axes, *asked, *scores, judge_name(judge)])
    return buffer.getvalue()


def means_csv(summaries: Sequence[LookSummary], judge: Judge) -> str:
    """Return one line per look: means, half-widths of 95 % intervals over seeds, and shares."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    heads, lines = _means(summaries)
    writer.writerow([*heads, "judge"])
    writer.writerows([*line, judge_name(judge)] for line in lines)
    return buffer.getvalue()


def grid_html(title: str, facts: str, summaries: Sequence[LookSummary], judge: Judge, sheets: Mapping[str, str]) -> str:
    """Return a page with the table of means and the sheets.

    Args:
        sheets: page's label -> file beside the page.
    """
    heads, lines = _means(summaries)
    table = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in line) + "</tr>" for line in lines)
    quoted = {html.escape(label, quote=True): html.escape(file, quote=True) for label, file in sheets.items()}
    pictures = "".join(f"<h2>{label}</h2><img src='{file}' alt='{label}'>" for label, file in quoted.items())
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1><p>{html.escape(facts)}</p>"
        f"<p>Judge: {html.escape(judge_name(judge))}. Means over prompts and seeds; ± is the half-width of the 95 % "
        f"interval over seeds (Student's t), empty with one seed. Prompt kept is the share of the base's clip_t, "
        f"empty where the base's own is below 0.05; compare clip_t then.</p>"
        f"<table><tr>{table}</tr>{body}</table>{pictures}</html>\n"
    )


def judge_name(judge: Judge) -> str:
    """Return what tells a judge from another: name and fingerprint."""
    return f"{judge.name}:{judge.fingerprint[:12]}"


def _means(summaries: Sequence[LookSummary]) -> tuple[list[str], list[list[str]]]:
    styles = sorted({name for summary in summaries for name in summary.style_scores})
    heads = ["look", "pictures", "seeds", "clip_t", "clip_t ±", "prompt kept"]
    for name in styles:
        heads += [f"clip_i:{name}", f"clip_i:{name} ±", f"style:{name}"]
    lines = []
    for item in summaries:
        line = [item.label, str(item.pictures), str(item.seeds), f"{item.prompt_score:.4f}"]
        line += [_shown(item.prompt_half_width), _shown(item.prompt_kept)]
        for name in styles:
            line += [f"{item.style_scores[name]:.4f}", _shown(item.style_half_widths.get(name))]
            line.append(_shown(item.style_shares.get(name)))
        lines.append(line)
    return heads, lines


def _shown(value: float | None) -> str:
    return f"{value:.4f}" if value is not None and math.isfinite(value) else ""
