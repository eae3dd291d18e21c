"""The Data tab's panels: change many captions, tags, near-duplicates, sizes and problems, captions by a model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from studio.app.data.dataset_view import view_of
from studio.app.data.shelf import ASPECTS, PROBLEMS, SIZES, TAGS, Shelf
from studio.app.shared.desk import Desk, told
from studio.app.shared.escaping import plain_markdown
from studio.app.shared.tables import filled, text_table
from studio.library.caption_edits import Change, History, planned
from studio.library.datasets import check_writable, free_run_name
from studio.library.library import Library, open_run_names
from studio.runs.kinds import run_kinds
from studio.runs.run import Run, create_run
from trainers.data.captions import captions_of
from trainers.data.likeness import LIKELY_BITS
from trainers.errors import UserError
from trainers.names import name_of

_QUIET: Mapping[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_CHANGES = ("data.name", "data.before", "data.after")
_HOW = ("prefix", "suffix", "replace", "remove_tag")


def build_panels(desk: Desk, shelf: Shelf, look: Callable[..., Any]) -> None:
    """Place all panels.

    Args:
        look: the handler that looks at a folder again.
    """
    words = desk.words
    with gr.Column(visible=False) as shelf.panels, gr.Tabs():
        with gr.Tab(words("data.bulk")):
            _build_bulk(desk, shelf)
        with gr.Tab(words("data.tags")):
            shelf.tags = text_table(words, "data.tags", *TAGS)
        with gr.Tab(words("data.alike")):
            _build_alike(desk, shelf)
        with gr.Tab(words("data.facts")):
            shelf.problems_told = gr.Markdown(visible=False)
            shelf.problems = text_table(words, "data.problems", *PROBLEMS, visible=False)
            with gr.Row():
                shelf.sizes = text_table(words, "data.sizes", *SIZES)
                shelf.aspects = text_table(words, "data.aspects", *ASPECTS)
        with gr.Tab(words("data.model_tab")):
            _build_captioning(desk, shelf, look)


def _build_bulk(desk: Desk, shelf: Shelf) -> None:
    words = desk.words
    with gr.Row():
        how = gr.Radio(
            [(words(f"data.{name}"), name) for name in _HOW], value="prefix", label=words("data.how"), min_width=240
        )
        text = gr.Textbox(label=words("data.text"), info=words("data.text_help"), min_width=220, max_lines=1)
        replacement = gr.Textbox(label=words("data.replacement"), min_width=220, max_lines=1, visible=False)
    with gr.Row():
        preview = gr.Button(words("data.preview"))
        apply = gr.Button(words("data.apply"), variant="primary", interactive=False)
    outcome = gr.Markdown()
    table = text_table(words, "data.changes", *_CHANGES, visible=False)
    plan = gr.State([])

    def forget() -> list[Any]:
        return [[], gr.Button(interactive=False), gr.Dataframe(visible=False), ""]

    def show(folder: str, how: Any, text: str, replacement: str, request: gr.Request) -> list[Any]:
        with told():
            _check_open(folder)
            check_writable(Path(folder))
            changes = planned(captions_of(Path(folder)), how, text, replacement)
            key = "data.would_change" if changes else "data.nothing_changes"
            rows = [[change.name, change.before, change.after] for change in changes]
            return [
                rows,
                gr.Button(interactive=bool(changes)),
                gr.Dataframe(value=filled(words, request, rows, *_CHANGES), visible=bool(changes)),
                words.say(request, key, count=len(changes)),
            ]

    def do(folder: str, selected: str, rows: list[list[str]], request: gr.Request) -> dict[Any, Any]:
        with told():
            check_writable(Path(folder))
            History(desk.library, Path(folder)).apply([Change(*row) for row in rows])
            view = view_of(desk.library, folder)
            answer = shelf.selected_now(view, selected, folder, request) | shelf.facts(view, request)
            plan_now, button, shown, _ = forget()
            said = words.say(request, "data.changed", count=len(rows))
            return {**answer, plan: plan_now, apply: button, table: shown, outcome: said}

    planning = [plan, apply, table, outcome]
    how.change(lambda how: gr.Textbox(visible=how == "replace"), how, replacement, **_QUIET)
    for field in (how, text, replacement):
        field.change(forget, None, planning, **_QUIET)
    shelf.opened.change(forget, None, planning, **_QUIET)
    preview.click(show, [shelf.opened, how, text, replacement], planning, **_QUIET)
    shelf.wire_later(
        lambda: apply.click(do, [shelf.opened, shelf.selected, plan], [*shelf.outputs, *planning], **_QUIET)
    )


def _build_alike(desk: Desk, shelf: Shelf) -> None:
    words = desk.words
    shelf.bits = gr.Slider(0, 40, LIKELY_BITS, step=1, label=words("data.bits"), info=words("data.bits_help"))
    shelf.pairs_told = gr.Markdown()
    shelf.pairs = gr.Gallery(
        label=words("data.pairs"), columns=2, height="auto", object_fit="contain", buttons=[], interactive=False,
        visible=False,
    )  # fmt: skip

    def again(folder: str, bits: float, request: gr.Request) -> dict[Any, Any]:
        with told():
            _check_open(folder)
            return shelf.alike(view_of(desk.library, folder), int(bits), request)

    shelf.bits.release(again, [shelf.opened, shelf.bits], [shelf.pairs_told, shelf.pairs], **_QUIET)


def _build_captioning(desk: Desk, shelf: Shelf, look: Callable[..., Any]) -> None:
    words = desk.words
    model = gr.Textbox(label=words("data.model"), info=words("data.model_help"), max_lines=1)
    with gr.Row():
        prefix = gr.Textbox(
            label=words("data.model_prefix"), info=words("data.model_prefix_help"), max_lines=1, min_width=220
        )
        beginning = gr.Textbox(label=words("data.beginning"), max_lines=1, min_width=220)
        device = gr.Textbox("auto", label=words("data.device"), max_lines=1, min_width=120)
    overwrite = gr.Checkbox(label=words("data.overwrite"))
    queue = gr.Button(words("data.queue"), variant="primary")
    outcome = gr.Markdown()
    watched = gr.State("")
    timer = gr.Timer(1, active=False)

    def put(
        folder: str, model: str, prefix: str, beginning: str, device: str, overwrite: bool, request: gr.Request
    ) -> list[Any]:
        with told():
            _check_open(folder)
            name = free_run_name(desk.library, f"captions-{name_of(Path(folder).name)}")
            values = {
                "kind": "captions",
                "name": name,
                "data": folder,
                "model": model.strip(),
                "device": device.strip(),
            }
            words_around = {"prefix": prefix, "beginning": beginning, "overwrite": overwrite}
            run = create_run(desk.library, run_kinds()["captions"].parse({**values, **words_around}))
            desk.queue.add(run.name)
            return [words.say(request, "data.queued", name=plain_markdown(name)), name, gr.Timer(active=True)]

    def watch(name: str, request: gr.Request) -> Any:
        told_now, works = _state_told(desk.library, name, words, request)
        return [told_now, gr.Timer(active=works)]

    fields = [shelf.opened, model, prefix, beginning, device, overwrite]
    queue.click(put, fields, [outcome, watched, timer], **_QUIET)
    ticking = timer.tick(watch, watched, [outcome, timer], **_QUIET)
    timer_ended = gr.State("")
    ticking.then(lambda name: name if not _works(desk.library, name) else gr.skip(), watched, timer_ended, **_QUIET)
    timer_ended.change(look, [shelf.opened], shelf.outputs, **_QUIET)


def _works(library: Library, name: str) -> bool:
    """Return whether a run waits or works, so that its state will change."""
    if name not in open_run_names(library):
        return False
    return Run(library.run_folder(name), library).status() in ("created", "running")


def _state_told(library: Library, name: str, words: Any, request: gr.Request) -> tuple[str, bool]:
    if name not in open_run_names(library):
        return "", False
    run = Run(library.run_folder(name), library)
    status, state = run.status(), run.state()
    said = words.say(
        request,
        "data.captioning",
        name=plain_markdown(name),
        status=status,
        step=state.get("step", 0),
        total=state.get("total", 0),
        problem=plain_markdown(state.get("problem") or ""),
    )
    return said, status in ("created", "running")


def _check_open(folder: str) -> None:
    if not folder:
        raise UserError("No dataset is open. Choose one, or open a folder, first.")
