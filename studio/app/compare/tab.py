"""Compare: grids over thirteen axes with scores under the cells, cost before the start, and blind votes."""

import gradio as gr
from gradio.context import Context

from studio.app.compare.drawn import DrawnGrids
from studio.app.compare.endpoint import place_endpoint
from studio.app.compare.form import CompareForm
from studio.app.compare.work import Work
from studio.app.shared.desk import Desk
from studio.app.shared.kept_form import keep_form
from studio.app.shared.named_inputs import QUIET, named
from studio.app.shared.tab_record import Tab


def _build(desk: Desk) -> None:
    tab = Context.block
    form = CompareForm(desk.library, desk.words)
    work = Work(desk)
    work.listen(form, DrawnGrids(desk))
    inbox, adapters = desk.inbox("compare"), {"adapters": form.fields["adapters"]}
    received = {**adapters, "prompts": form.fields["prompts"]}
    inbox.change(**named(form.received, {"sent": inbox}, received), **QUIET)
    if isinstance(tab, gr.Tab):
        tab.select(**named(form.refreshed, {}, adapters), **QUIET)
    keep_form("compare", form.kept, adapters, form.restored)
    place_endpoint(desk)


TAB = Tab("compare", 20, _build)
