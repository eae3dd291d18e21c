"""Rows of an adapter and its weight: a box with the library's names, a slider, and a number without limits."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from studio.app.shared.locales import locales, tags_of, text
from studio.library.library import Library

Pair = tuple[str | None, float | None]

MOST_ROWS = 8
"""How many adapters the page has rows for."""
_REACH = 2.0
"""The slider's ends; the number beside it takes any weight."""
_TEXTS = ("adapter", "slider", "weight", "remove", "row", "add")
_TEMPLATE = (
    '<p class="studio-weights-hint" hidden></p><div class="studio-weights"></div>'
    '<datalist></datalist><button type="button"></button>'
)


class WeightRows:
    """The rows as one component, `box`, whose value is a list of [adapter, weight].

    `box.input` tells of every change by the user, `box.select` of other adapters, however they came.

    Rows made of Gradio's own components would be some fifty of them for eight rows, and each change would walk the
    page once for each. These follow each other in the browser and tell one value.
    """

    def __init__(
        self,
        library: Library,
        *,
        names_in: Callable[[Library], list[str]] = Library.names,
        none: str = "weights.none",
        least: int = 1,
        first: float = 1.0,
    ) -> None:
        """Place the rows.

        Args:
            names_in: gives the adapters that are offered; others can be written.
            none: the text that is shown while there are none; empty shows none.
            least: how many rows there are at least.
            first: the weight of a new row.
        """
        self.names: Callable[[], list[str]] = partial(names_in, library)
        self._least, self._first = least, first
        texts = {
            tag: {key: text(language, f"weights.{key}") for key in _TEXTS}
            | {"none": text(language, none) if none else ""}
            for language in locales()
            for tag in tags_of(language)
        }
        options = {"texts": texts, "most": MOST_ROWS, "least": least, "first": first, "reach": _REACH, "step": 0.01}
        script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")

        def names(_: object = None) -> list[str]:
            return self.names()

        self.box = gr.HTML(
            self.laid_out([]),
            html_template=_TEMPLATE,
            js_on_load=f"const options = {json.dumps(options)};\n{script}",
            server_functions=[names],
            apply_default_css=False,
        )

    def laid_out(self, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Return the value of `box` that shows these rows, and empty ones after them where they are too few."""
        shown = [list(row) for row in list(rows)[:MOST_ROWS]]
        return [*shown, *([None, self._first] for _ in range(self._least - len(shown)))]

    def fitting(self, rows: Sequence[Pair]) -> tuple[list[Pair], list[str]]:
        """Return the rows that can be shown, and the names that are not in the library or find no row."""
        names = set(self.names())
        known: list[Pair] = [(name, weight) for name, weight in rows if name and name.partition("@")[0] in names]
        left = [name for name, _ in rows if name and name.partition("@")[0] not in names]
        return known[:MOST_ROWS], [*left, *(str(name) for name, _ in known[MOST_ROWS:])]


def pairs(value: Any) -> list[Pair]:
    """Return (adapter, weight) of every row, from the value of `WeightRows.box`; what is no row is left out."""
    rows = value[:MOST_ROWS] if isinstance(value, list) else []
    return [
        (name if isinstance(name, str) and name else None, float(weight) if _is_number(weight) else None)
        for name, weight in (row for row in rows if isinstance(row, list | tuple) and len(row) == 2)
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
