"""The tables of a comparison for reading: their columns' heads in words, and an interval beside its mean.

The columns of metrics have their words from the metric's own file.
"""

from collections.abc import Callable, Sequence
from html import escape

from pipelines.metrics import metrics
from studio.app.shared.locales import ENGLISH, locales, text

Say = Callable[..., str]
"""(key, values) -> a text in the reader's language."""


def head_of(name: str, say: Say, language: str = "en") -> str:
    """Return a column's head in words; `name` is as the CSV has it, such as ``clip_i:ink``."""
    kind, _, adapter = name.partition(":")
    kind = kind.replace(" ", "_")  # "subject kept", as older comparisons have it
    if kind in metrics():
        title = text(language, f"metric.{kind}.title", metrics()[kind].english.title)
        return title.format(adapter=adapter)
    key = f"compare.head_{kind}"
    return say(key) if key in locales()[ENGLISH] else name


def descriptions(table: Sequence[Sequence[str]], language: str = "en") -> str:
    """Return what the columns of metrics in a CSV's table mean, each metric once."""
    kinds = dict.fromkeys(name.removesuffix(" ±").partition(":")[0].replace(" ", "_") for name in table[0])
    return " ".join(
        text(language, f"metric.{kind}.description", metrics()[kind].english.description)
        for kind in kinds
        if kind in metrics()
    )


def readable(table: Sequence[Sequence[str]], say: Say, language: str = "en") -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of a CSV's table, its heads first, with every half-width beside its mean: ``0.41 ± 0.02``.

    Empty cells become a dash.
    """
    names, *lines = table
    widths = {name.removesuffix(" ±"): place for place, name in enumerate(names) if name.endswith(" ±")}
    places = [place for place, name in enumerate(names) if not name.endswith(" ±")]

    def cell(line: Sequence[str], place: int) -> str:
        width = line[widths[names[place]]] if names[place] in widths else ""
        return f"{line[place]} ± {width}" if width else line[place] or "–"

    return [head_of(names[place], say, language) for place in places], [
        [cell(line, n) for n in places] for line in lines
    ]


def table_html(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that scrolls to the side where it is too wide; everything is escaped."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(text)}</td>" for text in others)}</tr>'
        for first, *others in rows
    )
    return (
        f'<div class="studio-wide" role="region" tabindex="0" aria-label="{escape(title)}"><table class="studio-table">'
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
