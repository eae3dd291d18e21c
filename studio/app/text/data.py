"""The Text tab's view of a data set: rows as training sees them, lengths, and the way to a run on it."""

import shutil
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.app.blend.tools import device_and_precision
from studio.app.shared.desk import Desk, told
from studio.app.shared.progress_line import notes_html, problem_line, progress_line
from studio.app.text.rows import histogram_html, rows_html
from studio.resources import example_datasets
from trainers.errors import UserError
from trainers.names import folder_name, name_of, usable_name
from trainers.stages import stage_names
from trainers.storage import disk_errors
from trainers.text_config import POCKET_LANGUAGE, USUAL_BATCH

_ENDINGS = [".jsonl", ".json", ".csv", ".txt"]
_MOST_ROWS = 50


def example_texts() -> list[tuple[str, str]]:
    """Return the example data as (title, folder)."""
    return [(name.partition("/")[2], str(folder)) for name, folder in example_datasets(("texts",)).items()]


def keep_upload(desk: Desk, path: str) -> str:
    """Copy an uploaded file of texts into the library, under a folder's name that is ours; return its path."""
    upload = Path(path)
    if upload.suffix.lower() not in _ENDINGS:
        raise UserError(f"{upload.name} is none of the kinds that can be read: {', '.join(_ENDINGS)}.")
    place = desk.outputs / "texts"
    with disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        number = max((int(own.name) for own in place.iterdir() if own.name.isdigit()), default=0) + 1
        folder = place / f"{number:06d}"
        folder.mkdir()
        name = folder_name(usable_name(upload.stem[:60], "texts"))
        return str(shutil.copyfile(upload, folder / f"{name}{upload.suffix.lower()}"))


class TextData:
    """The components and what their buttons do."""

    def __init__(self, desk: Desk, base: Any) -> None:
        """Place them.

        Args:
            base: the component that names the base whose tokens are counted.
        """
        words, self._desk = desk.words, desk
        examples = example_texts()
        first = next((folder for title, folder in examples if title == "pirate"), None)
        with gr.Row():
            self.data = gr.Dropdown(
                examples,
                value=first,
                label=words("text.data"),
                info=words("text.data_info"),
                allow_custom_value=True,
                min_width=260,
                scale=3,
            )
            stages = [
                (words(f"text.for_{name}") if f"text.for_{name}" in words else name, name) for name in stage_names()
            ]
            self.stage = gr.Dropdown(stages, value="sft", label=words("text.stage"), min_width=220)
        upload = gr.UploadButton(words("text.upload"), file_types=_ENDINGS, size="sm")
        with gr.Row():
            self.rows = gr.Number(3, label=words("text.rows"), precision=0, minimum=1, maximum=_MOST_ROWS, min_width=90)
            self.first = gr.Number(1, label=words("text.first_row"), precision=0, minimum=1, min_width=90)
            self.max_length = gr.Textbox("", label=words("text.max_length"), min_width=200, max_lines=1)
            self.whole_chat = gr.Checkbox(False, label=words("text.whole_chat"), min_width=160)
        with gr.Row():
            show = gr.Button(words("text.show"), variant="primary", min_width=110, elem_id="text-show")
            train = gr.Button(words("text.train"), min_width=110, elem_id="text-train")
        status = gr.HTML(elem_id="text-data-status")
        none = gr.Markdown(words("text.none_shown"))
        with gr.Column(visible=False) as found:
            facts = gr.HTML(elem_id="text-facts")
            gr.Markdown(words("text.legend"))
            shown = gr.HTML(elem_id="text-rows")
            gr.Markdown(words("text.lengths"), elem_classes="studio-heading")
            lengths = gr.HTML(elem_id="text-lengths")
        outputs = [status, none, found, facts, shown, lengths]
        show.click(self._show, [base, *self.inputs], outputs, concurrency_limit=16, **_QUIET)
        upload.upload(self._upload, upload, self.data, api_visibility="private", show_progress="minimal")
        if "train" in desk.inboxes:
            desk.send(train.click, self._for_training, [base, *self.inputs], to="train")

    @property
    def inputs(self) -> list[Any]:
        """What says which texts, and how they are read."""
        return [self.data, self.stage, self.rows, self.first, self.max_length, self.whole_chat]

    def _upload(self, path: str) -> Any:
        with told():
            return keep_upload(self._desk, path)

    def _show(
        self, base: str, data: str, stage: str, rows: int, first: int, length: str, whole: bool, request: gr.Request
    ) -> Iterator[list[Any]]:
        say, nothing = self._desk.words.say, [gr.skip()] * 5
        yield [progress_line(say(request, "text.reading")), *nothing]
        try:
            settings = text_settings(base, data, stage, length, whole_chat=whole)
            start = max(0, int(first or 1) - 1)
            asked: dict[str, Any] = {"settings": {**settings, **device_and_precision(self._desk)}}
            asked |= {"rows": min(int(rows or 1), _MOST_ROWS), "first": start}
            event = self._desk.engine.result("text_preview", asked)
        except UserError as error:
            yield [problem_line(str(error)), *nothing]
            return
        last = start + len(event["rows"]) // event["per_row"]
        said = say(request, "text.shown", first=min(start + 1, last), last=last, count=event["count"])
        heads = ("length", "rows" if event["per_row"] == 1 else "answers")
        labels = {key: say(request, f"text.{key}", tokens="{tokens}", trained="{trained}") for key in _LABELS}
        yield [
            progress_line(said),
            gr.update(visible=False),
            gr.update(visible=True),
            facts_html(event, say(request, "text.notes")),
            rows_html(event["rows"], labels),
            histogram_html(event["histogram"], [say(request, f"text.{key}") for key in heads]),
        ]

    def _for_training(
        self, base: str, data: str, stage: str, rows: int, first: int, length: str, whole: bool
    ) -> Mapping[str, Any]:
        settings = text_settings(base, data, stage, length, whole_chat=whole)
        place = Path(str(data))
        name = usable_name(name_of(place.stem if place.suffix else place.name)[:60], "texts").lower()
        named = {"name": f"my-{name}", "batch_size": USUAL_BATCH}
        return {"config": {"kind": "text", **settings, **named}}


_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_LABELS = ("counts", "learned", "masked", "chosen", "rejected")


def text_settings(base: str | None, data: str | None, stage: str, length: str, *, whole_chat: bool) -> dict[str, Any]:
    """Return settings of a run on texts that differ from the defaults.

    Raises:
        UserError: no data is named, or the length is no whole number.
    """
    if not (data or "").strip():
        raise UserError("No data is chosen. Choose an example, upload a file, or write a path.")
    settings: dict[str, Any] = {"base": base or POCKET_LANGUAGE, "data": str(data).strip(), "stage": stage}
    if (length or "").strip():
        if not length.strip().isdigit():
            raise UserError(f"The longest example {length!r} is no whole number of tokens. Write one such as 256.")
        settings["max_length"] = int(length)
    return {**settings, "assistant_only": False} if whole_chat else settings


def facts_html(event: Mapping[str, Any], notes_title: str) -> str:
    """Return what was found of a data set, and what a user should know of it."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(label)}</th><td>{escape(fact)}</td></tr>"
        for label, fact in event["facts"].items()
    )
    return f"<table class='studio-facts'><tbody>{rows}</tbody></table>{notes_html(notes_title, event['notes'])}"
