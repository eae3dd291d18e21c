"""Rows of texts as training sees them, as HTML: what is learned from stands bold in brackets, the rest is grey."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any


def rows_html(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> str:
    """Return rows of the job `text_preview`; learned pieces are bold and stand in ⟦ ⟧, the others are grey.

    Args:
        labels: texts for ``counts`` (with {tokens} and {trained}), ``learned`` and ``masked``, and every row's mark.
    """
    found = []
    for row in rows:
        counts = labels["counts"].format(tokens=row["tokens"], trained=row["trained_tokens"])
        where = escape(row["where"]) + (f" · <b>{escape(labels[row['mark']])}</b>" if row["mark"] else "")
        pieces = "".join(_piece(text, bool(trained), labels) for text, trained in row["pieces"])
        found.append(
            f'<section class="studio-row"><p class="studio-facts-line">{where}: {escape(counts)}</p>'
            f'<p class="studio-said">{pieces}</p></section>'
        )
    return "".join(found)


def _piece(text: str, trained: bool, labels: Mapping[str, str]) -> str:
    if trained:
        return f'<b class="studio-learned" title="{escape(labels["learned"])}">⟦{escape(text)}⟧</b>'
    return f'<span class="studio-masked" title="{escape(labels["masked"])}">{escape(text)}</span>'


def histogram_html(bins: Sequence[Sequence[int]], heads: Sequence[str]) -> str:
    """Return (fewest tokens, most tokens, rows) as a table with a bar for each.

    Args:
        heads: texts over the lengths and over the numbers of rows.
    """
    top = max((count for _, _, count in bins), default=1) or 1
    body = "".join(
        f'<tr><th scope="row">{low}–{high}</th><td>{count}</td>'
        f'<td class="studio-bar"><span aria-hidden="true" style="width:{100 * count / top:.1f}%"></span></td></tr>'
        for low, high, count in bins
    )
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    return f'<table class="studio-histogram"><thead><tr>{head}<td></td></tr></thead><tbody>{body}</tbody></table>'
