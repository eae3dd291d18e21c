"""Train: a run from its settings, told and measured before it is queued."""

from typing import Any

import gradio as gr
from gradio.context import Context

from studio.app.shared.desk import Desk
from studio.app.shared.tab_record import Tab
from studio.app.shared.words import reader_language
from studio.app.train.draft import Draft, known
from studio.app.train.placed_form import PlacedForm
from studio.app.train.report import Report
from studio.app.train.run_api import place_endpoints
from studio.app.train.same_run import SameRun


def _build(desk: Desk) -> None:
    page = Context.root_block
    assert page is not None, "the tab stands on a page"
    draft = Draft(desk)

    # One at a time: Gradio counts renderings for all pages together, and two at once lose each other's components.
    @gr.render([draft.shown, draft.kept], [page.load, draft.shown.change], show_progress="hidden", concurrency_limit=1)
    def place(shown: dict[str, Any], kept: Any, request: gr.Request) -> None:
        settings = shown["settings"] if shown["number"] else known(kept)  # 0: the page opens
        PlacedForm(desk, draft, report, settings, language=reader_language(request))

    report = Report(desk)
    SameRun(desk, draft)
    place_endpoints(desk)


TAB = Tab("train", 1, _build)
