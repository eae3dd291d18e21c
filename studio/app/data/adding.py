"""The Data tab's way in for pictures: make a dataset, copy what is open, upload, or give a path."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from studio.app.data.dataset_view import dataset_choices, own_dataset
from studio.app.data.shelf import Shelf
from studio.app.shared.desk import Desk, told
from studio.library.datasets import copy_dataset, new_dataset
from trainers.errors import UserError
from trainers.names import name_of, usable_name

_QUIET: Mapping[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_ENDINGS = [".png", ".jpg", ".jpeg", ".webp", ".txt", ".caption"]


def build_adding(desk: Desk, shelf: Shelf, choice: gr.Dropdown, look: Callable[..., Any]) -> None:
    """Place the fields.

    Args:
        look: the handler that looks at a folder again.
    """
    words = desk.words
    with gr.Accordion(words("data.own"), open=True):
        with gr.Row():
            name = gr.Textbox(label=words("data.new_name"), max_lines=1, min_width=220)
            with gr.Column(min_width=220):
                make = gr.Button(words("data.make"))
                copy = gr.Button(words("data.copy"))
        with gr.Row():
            files = gr.File(
                label=words("data.upload"), file_count="multiple", file_types=_ENDINGS, height=150, min_width=260
            )
            with gr.Column(min_width=260):
                path = gr.Textbox(label=words("data.path"), max_lines=1)
                add = gr.Button(words("data.add"), variant="primary")
        outcome = gr.Textbox(label=words("data.added"), interactive=False, lines=3, visible=False)

    def made(name: str) -> list[Any]:
        with told():
            folder = new_dataset(desk.library, _wanted(name))
            return [gr.Dropdown(choices=dataset_choices(desk.library), value=str(folder)), str(folder), ""]

    def copied(name: str, opened: str) -> list[Any]:
        with told():
            if not opened:
                raise UserError("No dataset is open, so there is nothing to copy. Choose one first.")
            folder = copy_dataset(desk.library, Path(opened), _wanted(name or _name_of(opened)))
            return [gr.Dropdown(choices=dataset_choices(desk.library), value=str(folder)), str(folder), ""]

    def added(opened: str, uploads: list[str] | None, path: str, request: gr.Request) -> Iterator[list[Any]]:
        with told():
            dataset = own_dataset(desk.library, opened)
            if not dataset:
                raise UserError(words.say(request, "data.not_own"))
            given = [*(uploads or []), *([path.strip()] if path.strip() else [])]
            result: dict[str, Any] = {"added": [], "refused": [], "notes": []}
            for event in desk.engine.run("add_images", {"dataset": dataset, "files": given}):
                if event["event"] == "progress":
                    said = words.say(request, "data.opening", done=event["done"], total=event["total"])
                    yield [gr.Textbox(value=said, visible=True), gr.skip(), gr.skip()]
                elif event["event"] == "result":
                    result = event
            lines = [words.say(request, "data.added_some", count=len(result["added"]), name=dataset)]
            if result["refused"]:
                lines += [words.say(request, "data.refused", count=len(result["refused"])), *result["refused"]]
            if result["notes"]:
                lines += [words.say(request, "data.notes"), *result["notes"]]
            yield [gr.Textbox(value="\n".join(lines), visible=True), None, ""]

    target = gr.State("")
    for event, inputs, do in ((make.click, [name], made), (copy.click, [name, shelf.opened], copied)):
        event(do, inputs, [choice, target, name], **_QUIET).success(
            look, [target], shelf.outputs, api_visibility="private", show_progress="minimal"
        )
    add.click(
        added, [shelf.opened, files, path], [outcome, files, path], api_visibility="private", show_progress="minimal"
    ).success(look, [shelf.opened], shelf.outputs, api_visibility="private", show_progress="minimal")


def _name_of(folder: str) -> str:
    return usable_name(name_of(Path(folder).name), "dataset")


def _wanted(name: str) -> str:
    if not name.strip():
        raise UserError("The new dataset has no name. Give one, such as my-style.")
    return name.strip()
