"""The part of Compare that shows the grids that have been drawn: sheets, means, cells, files, and the vote."""

from functools import partial
from typing import Any

import gradio as gr

from studio.app.compare.tables import descriptions, readable, table_html
from studio.app.compare.voting import Voting
from studio.app.shared.desk import Desk, told
from studio.app.shared.first_opening import first_opening
from studio.app.shared.named_inputs import QUIET, Changes, named
from studio.app.shared.words import reader_language
from studio.operations.stored_comparisons import drawn_comparisons, find_comparison


class DrawnGrids:
    """The choice of a drawn grid, in `choice`, and what it shows."""

    def __init__(self, desk: Desk) -> None:
        """Place everything; the newest grid is chosen when the tab is first opened."""
        self._desk, words = desk, desk.words
        none = gr.Markdown(words("compare.none"))
        chosen = gr.Dropdown([], value=None, label=words("compare.drawn"), visible=False, interactive=True)
        self.choice = {"chosen": chosen, "none": none}
        with gr.Column(visible=False) as result:
            shown = {"result": result, **self._place_result()}
            Voting(desk, chosen)
        progress = {"api_visibility": "private", "show_progress": "minimal"}
        chosen.change(**named(self._show, {"name": chosen}, shown), **progress)
        first_opening()(**named(self._newest, {}, self.choice), **QUIET)

    def chosen(self, name: str) -> Changes:
        """Return changes of `choice` that choose a grid which has just been drawn."""
        return {
            "chosen": gr.update(choices=self._choices(), value=name, visible=True),
            "none": gr.update(visible=False),
        }

    def _place_result(self) -> dict[str, Any]:
        words = self._desk.words
        sheets = gr.Gallery(
            label=words("compare.sheets"),
            interactive=False,
            columns=1,
            object_fit="contain",
            preview=True,
            height=720,
            buttons=["download", "fullscreen"],
        )
        judge, means = gr.Markdown(), gr.HTML(elem_id="compare-means")
        with gr.Accordion(words("compare.cells"), open=False):
            cells = gr.Dataframe(label=words("compare.cells"), interactive=False, datatype="str", wrap=True)
        files = gr.File(label=words("compare.files"), file_count="multiple", interactive=False)
        return {"sheets": sheets, "judge": judge, "means": means, "cells": cells, "files": files}

    def _show(self, name: str | None, request: gr.Request) -> Changes:
        if not name:
            return {"result": gr.update(visible=False)}
        with told():
            found = find_comparison(self._desk.library, name)
            say = partial(self._desk.words.say, request)
            language = reader_language(request)
            table = found.means()
            mean_heads, means = readable(table, say, language)
            heads, cells = readable(found.cells(), say, language)
            judge = "".join(mark for mark in found.judge if mark.isalnum() or mark in "-_:./ ")
            return {
                "result": gr.update(visible=True),
                "sheets": [str(path) for path in found.sheets],
                "judge": say("compare.means_help", judge=judge, metrics=descriptions(table, language)),
                "means": table_html(say("compare.means"), mean_heads, means),
                "cells": {"headers": heads, "data": cells},
                "files": [str(path) for path in found.downloads],
            }

    def _newest(self) -> Changes:
        choices = self._choices()
        value = choices[0][1] if choices else None
        chosen = gr.update(choices=choices, value=value, visible=bool(choices))
        return {"chosen": chosen, "none": gr.update(visible=not choices)}

    def _choices(self) -> list[tuple[str, str]]:
        return [
            (f"{found.title[:80]} · {found.finished[:16].replace('T', ' ')}", found.name)
            for found in drawn_comparisons(self._desk.library)
        ]
