"""Generate: pictures from a prompt, with any number of weighted adapters, beside the base."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio.app.generate.chosen import ChosenImage, TodaysImages
from studio.app.generate.drawing import Drawing
from studio.app.generate.endpoint import place_endpoint
from studio.app.generate.form import FormValues, GenerateForm
from studio.app.generate.recall import Recall
from studio.app.shared.desk import Desk
from studio.app.shared.kept_form import keep_form
from studio.app.shared.tab_record import Tab
from trainers.errors import UserError


def _build(desk: Desk) -> None:
    with gr.Row():
        with gr.Column(min_width=320, scale=5):
            form = GenerateForm(desk.library, desk.words)
            recall = Recall(desk, form)
            with gr.Row():
                _send_to(desk, form)
        with gr.Column(min_width=320, scale=6):
            drawing = Drawing(desk, form)
            chosen = ChosenImage(desk, drawing)
            TodaysImages(desk, chosen)
    recall.listen(chosen)
    keep_form("generate", form.fields, {}, form.restored)
    place_endpoint(desk, form)


def _send_to(desk: Desk, form: GenerateForm) -> None:
    """Place a button for every other tab that takes what stands in the form."""
    for tab, content in (("compare", _for_compare), ("blend", _for_blend)):
        if tab in desk.inboxes:
            button = gr.Button(desk.words(f"generate.to_{tab}"), size="sm", min_width=120)
            desk.send(button.click, content, {"form": form.fields}, to=tab)


def _for_compare(form: FormValues) -> Mapping[str, Any]:
    return {"adapters": [name for name, _ in _chosen(form)], "prompt": form.prompt}


def _for_blend(form: FormValues) -> Mapping[str, Any]:
    return {"adapters": [[name, weight] for name, weight in _chosen(form)]}


def _chosen(form: FormValues) -> list[tuple[str, float | None]]:
    found = [(name, weight) for name, weight in form.adapters if name]
    if not found:
        raise UserError("No adapter is chosen. Choose at least one under the prompt first.")
    return found


TAB = Tab("generate", 10, _build)
