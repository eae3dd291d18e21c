"""A grid as one HTML page: every cell's own picture with its scores, and the table of means; no script, no network."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from pipelines.compare.scores import LookSummary, ScoredCell
from pipelines.compare.tables import columns_of, descriptions, judge_name, picture_lines
from pipelines.judge import Judge
from pipelines.metrics import Mean

_ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}
"""Which values are the better ones."""

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1e24;--soft:#5b616d;--paper:#fff;--rule:#d9dce2;--raised:#f5f6f8;--link:#1d5fbf}
@media (prefers-color-scheme:dark){
:root{--ink:#e8eaee;--soft:#a4abb8;--paper:#15171c;--rule:#343843;--raised:#1e2128;--link:#8ab8ff}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;padding:1.5rem clamp(1rem,4vw,3rem);max-width:110rem;
color:var(--ink);background:var(--paper)}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem}h2{font-size:1.25rem;margin:2.5rem 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .5rem}h1,h2,h3,p,figcaption{overflow-wrap:anywhere}
p{color:var(--soft);max-width:80ch;margin:.25rem 0 .75rem}a{color:var(--link)}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.4rem .6rem;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th{font-weight:600;background:var(--raised);vertical-align:bottom}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper);
min-width:min(14rem,38vw);white-space:normal;overflow-wrap:break-word}th:first-child{background:var(--raised)}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1rem .75rem}
figure{margin:0;max-width:20rem}
figure img{display:block;width:100%;height:auto;border-radius:4px;background:var(--raised)}
figcaption{font-size:.82rem;line-height:1.4;color:var(--soft);padding-top:.35rem}
figcaption b{display:block;color:var(--ink);font-size:.9rem}figcaption span{display:block}
"""


@dataclass(frozen=True)
class Beside:
    """The files that a page points to, by their paths from the page's own folder."""

    pictures: Sequence[str]
    """One for each scored cell."""
    sheets: Mapping[str, str]
    """A page of the grid -> its sheet; the only page of a grid without pages is ``""``."""
    tables: Mapping[str, str]
    """What a table is called -> its file."""


def grid_html(
    title: str,
    facts: str,
    scored: Sequence[ScoredCell],
    summaries: Sequence[LookSummary],
    judge: Judge,
    beside: Beside,
) -> str:
    """Return the page. It reads on a phone and in the dark, and loads pictures as they come into view."""
    tables = " · ".join(_link(file, label) for label, file in beside.tables.items())
    sections = [_section(page, scored, beside) for page in dict.fromkeys(item.cell.page for item in scored)]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body><h1>{html.escape(title)}</h1>"
        f"<p>{html.escape(facts)} · judge {html.escape(judge_name(judge))}</p>\n{means_table(summaries)}"
        "<p>Means over prompts and seeds; ± is the half-width of the 95 % interval over seeds (Student's t), which one "
        f"seed does not have. {html.escape(descriptions(columns_of(summaries)))}</p>"
        f"<p>As tables: {tables}</p>\n{''.join(sections)}</body></html>\n"
    )


def means_table(summaries: Sequence[LookSummary]) -> str:
    """Return the means of every look as an HTML table."""
    shown = columns_of(summaries)
    heads = ["look", *(f"{column.title()}{_ARROWS[column.metric.better]}" for column in shown), "pictures", "seeds"]
    lines = []
    for item in summaries:
        written = [(_percent if column.metric.share else _with_interval)(item.mean(column.key)) for column in shown]
        lines.append([item.label, *written, str(item.pictures), str(item.seeds)])
    head = "".join(f"<th scope='col'>{html.escape(text)}</th>" for text in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in line)}</tr>" for line in lines)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n"


def _section(page: str, scored: Sequence[ScoredCell], beside: Beside) -> str:
    """Return one page of the grid: a strip of pictures for each row, which wraps where the screen is narrow."""
    own = [(item, file) for item, file in zip(scored, beside.pictures, strict=True) if item.cell.page == page]
    rows: dict[str, list[str]] = {}
    for item, file in own:
        rows.setdefault(item.cell.row, []).append(_figure(item, file))
    strips = "".join(
        f"<h3>{html.escape(row)}</h3>\n<div class='row'>{''.join(figures)}</div>\n" for row, figures in rows.items()
    )
    head = f"<h2>{html.escape(page)}</h2>" if page else ""
    sheet = f"<p>{_link(beside.sheets[page], 'All of it as one picture')}</p>" if page in beside.sheets else ""
    return f"<section>{head}{sheet}{strips}</section>\n"


def _figure(item: ScoredCell, file: str) -> str:
    width_px, height_px = item.picture.size
    alt = f"{item.cell.row}, {item.cell.column}"
    lines = "".join(f"<span>{html.escape(text)}</span>" for text in picture_lines(item))
    return (
        f"<figure><a href='{_url(file)}'><img loading='lazy' src='{_url(file)}' width='{width_px}' "
        f"height='{height_px}' alt='{html.escape(alt, quote=True)}'></a>"
        f"<figcaption><b>{html.escape(item.cell.column)}</b>{lines}</figcaption></figure>\n"
    )


def _url(file: str) -> str:
    return html.escape(quote(file), quote=True)


def _link(file: str, label: str) -> str:
    return f"<a href='{_url(file)}'>{html.escape(label)}</a>"


def _percent(mean: Mean) -> str:
    if not math.isfinite(mean.value):
        return ""
    whole = round(100 * mean.value)
    width = f" ± {round(100 * mean.half_width)}\u00a0%" if math.isfinite(mean.half_width) else ""
    return f"{'−' * (whole < 0)}{abs(whole)}\u00a0%{width}"


def _with_interval(mean: Mean) -> str:
    if not math.isfinite(mean.value):
        return ""
    return f"{mean.value:.3f} ± {mean.half_width:.3f}" if math.isfinite(mean.half_width) else f"{mean.value:.3f}"
