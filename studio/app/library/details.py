"""The Library tab's details of one adapter: facts, files, previews, lineage, editing, export, removal."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from studio.app.library.shelf import Entry, answers_html, entries_of, facts_of, files_of, lineage_html
from studio.app.shared.desk import Desk
from studio.app.shared.escaping import plain_markdown
from studio.app.shared.field_names import on_page
from studio.app.shared.progress_line import problem_line, progress_line
from studio.app.shared.tables import filled, text_table
from studio.app.shared.words import reader_language
from studio.operations.import_export import READERS, WRITABLE
from trainers.errors import UserError

_QUIET: Mapping[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_FACTS = ("library.what", "library.value")
_FILES = ("library.file", "library.bytes")
_ABOUT = ("licence", "author", "description")
_KEYS = {"licence": "license"}
_PICTURES = [".png", ".jpg", ".jpeg", ".webp"]


class Details:
    """The components, what they show of an adapter, and what their buttons do."""

    def __init__(self, desk: Desk, selected: gr.State) -> None:
        self._desk = desk
        self._selected = selected

    def build(self) -> None:
        """Place the components; hidden until an adapter is selected."""
        words = self._desk.words
        self.filled = gr.State()
        with gr.Column(visible=False, elem_id="library-details") as self.whole:
            self.head = gr.Markdown()
            with gr.Row():
                self.to_generate = gr.Button(words("library.to_generate"), min_width=140)
                self.to_compare = gr.Button(words("library.to_compare"), min_width=140)
                self.to_blend = gr.Button(words("library.to_blend"), min_width=140)
            self.outcome = gr.HTML(elem_id="library-outcome")
            with gr.Tabs():
                with gr.Tab(words("library.details")):
                    self.facts = text_table(words, "library.details", *_FACTS, column_widths=["30%", "70%"])
                    self.measure = gr.Button(words("library.measure"))
                    self.measured = gr.HTML(elem_id="library-measured")
                with gr.Tab(words("library.previews")):
                    self.no_samples = gr.Markdown(words("library.no_samples"))
                    self.answers = gr.HTML("", label=words("library.previews"), elem_id="library-answers")
                    self.previews = gr.Gallery(
                        label=words("library.previews"), columns=6, height="auto", interactive=False, buttons=[]
                    )
                with gr.Tab(words("library.files")):
                    self.files = text_table(words, "library.files", *_FILES)
                with gr.Tab(words("library.lineage")):
                    self.no_lineage = gr.Markdown(words("library.no_lineage"))
                    self.lineage = gr.HTML("", label=words("library.lineage"), elem_id="library-lineage")
                with gr.Tab(words("library.edit")):
                    self._build_edit()
                with gr.Tab(words("library.export")):
                    self._build_export()
                with gr.Tab(words("library.remove")):
                    gr.Markdown(words("library.remove_help"))
                    self.confirm = gr.Textbox(label=words("library.confirm"), max_lines=1)
                    self.remove = gr.Button(words("library.remove_title"), variant="stop")

    def _build_edit(self) -> None:
        words = self._desk.words
        with gr.Row():
            self.name = gr.Textbox(label=words("shared.name"), max_lines=1, min_width=220)
            self.triggers = gr.Textbox(label=words("library.trigger_edit"), max_lines=1, min_width=220)
        with gr.Row():
            self.licence = gr.Textbox(label=words("library.licence"), max_lines=1, min_width=160)
            self.author = gr.Textbox(label=words("library.author"), max_lines=1, min_width=160)
        self.description = gr.Textbox(label=words("library.description"), lines=2)
        self.cover = gr.File(label=words("library.cover"), file_types=_PICTURES, height=120)
        self.save = gr.Button(words("library.save"), variant="primary")

    def _build_export(self) -> None:
        words = self._desk.words
        with gr.Row():
            self.reader = gr.Dropdown(
                [(words("library.any_reader"), ""), *((title, name) for name, title in READERS.items())],
                value="",
                label=words("library.reader"),
                info=words("library.reader_help"),
                min_width=220,
            )
            self.format = gr.Dropdown(
                [(words("library.best_format"), ""), *((name, name) for name in WRITABLE)],
                value="kohya",
                label=words("library.format"),
                info=words("library.format_help"),
                min_width=220,
            )
            self.precision = gr.Dropdown(
                [(words("library.own_precision"), ""), "fp32", "fp16", "bf16"],
                value="",
                label=words("library.precision"),
                min_width=140,
            )
            self.rank = gr.Number(0, precision=0, minimum=0, label=words("library.rank"), min_width=140)
        self.base = gr.Textbox(label=words("library.export_base"), max_lines=1)
        self.allow_unread = gr.Checkbox(label=words("library.allow_unread"))
        with gr.Row():
            self.foresee = gr.Button(words("library.foresee"))
            self.write = gr.Button(words("library.write"), variant="primary")
        self.export_told = gr.HTML(elem_id="library-exported")
        self.file = gr.File(label=words("library.download"), interactive=False, visible=False)

    @property
    def outputs(self) -> list[Any]:
        """All that a selected adapter fills; the first is what the fields were filled from."""
        fields = [self.name, self.triggers, self.licence, self.author, self.description, self.cover]
        shown = [self.facts, self.measured, self.no_samples, self.answers, self.previews, self.files]
        shown += [self.no_lineage, self.lineage]
        return [self.filled, self.whole, self.head, *shown, *fields, self.confirm, self.export_told, self.file]

    def show(self, name: str, filled_from: Any, request: gr.Request) -> dict[Any, Any]:
        """Return what everything shows of an adapter; typed words stay unless it is another or has changed."""
        entry = next((item for item in entries_of(self._desk.library) if item.name == name), None)
        if entry is None:
            return {self.whole: gr.Column(visible=False), self.filled: None}
        lineage, fields = lineage_html(entry), self._fields(entry)
        source = list(fields.values())
        if source != filled_from:
            fields |= {self.filled: source, self.confirm: "", self.export_told: ""}
            fields[self.file] = gr.File(value=None, visible=False)
        else:
            fields = {}
        return {
            self.whole: gr.Column(visible=True),
            self.head: f"## {plain_markdown(entry.name)}",
            self.facts: filled(self._desk.words, request, facts_of(entry, reader_language(request)), *_FACTS),
            self.measured: "",
            self.previews: gr.Gallery(
                value=[(str(path), path.stem) for path in entry.previews], visible=bool(entry.previews)
            ),
            self.no_samples: gr.Markdown(visible=not entry.previews and not entry.answers),
            self.answers: answers_html(entry),
            self.files: filled(self._desk.words, request, files_of(entry), *_FILES),
            self.no_lineage: gr.Markdown(visible=not lineage),
            self.lineage: lineage,
            **fields,
        }

    def _fields(self, entry: Entry) -> dict[Any, Any]:
        about = entry.card.training.get("about", {}) if entry.card else {}
        values = {key: str(about.get(_KEYS.get(key, key), "")) for key in _ABOUT}
        return {
            self.name: entry.name,
            self.triggers: ", ".join(entry.card.triggers) if entry.card else "",
            self.licence: values["licence"],
            self.author: values["author"],
            self.description: values["description"],
            self.cover: None,
        }

    def wire(self, again: Callable[[Any], Any]) -> None:
        """Connect the buttons.

        Args:
            again: makes the list and the details follow an event.
        """
        self.measure.click(self._measure, self._selected, self.measured, **_QUIET)
        fields = [self.name, self.triggers, self.licence, self.author, self.description, self.cover]
        again(self.save.click(self._save, [self._selected, *fields], [self._selected, self.outcome], **_QUIET))
        choices = [self._selected, self.reader, self.format, self.allow_unread, self.precision, self.rank, self.base]
        self.write.click(self._export, choices, [self.export_told, self.file], **_QUIET)
        self.foresee.click(self._foresee, choices, self.export_told, **_QUIET)
        self.reader.change(lambda reader: "" if reader else "kohya", self.reader, self.format, **_QUIET)
        again(self.remove.click(self._remove, [self._selected, self.confirm], [self._selected, self.outcome], **_QUIET))
        self._selected.change(lambda: "", None, self.outcome, **_QUIET)

    def _measure(self, name: str, request: gr.Request) -> Iterator[str]:
        say = self._desk.words.say
        yield progress_line(say(request, "library.measuring"))
        try:
            found = self._desk.engine.result("measure_adapter", {"name": name})
        except UserError as error:
            yield problem_line(str(error))
            return
        parts = [
            say(request, "library.part", part=part, tensors=tensors, values=values, kinds=kinds)
            for part, tensors, values, kinds in found["parts"]
        ]
        yield progress_line(say(request, "library.measured", hash=found["hash"], parts=" ".join(parts)))

    def _save(
        self,
        name: str,
        new_name: str,
        triggers: str,
        licence: str,
        author: str,
        description: str,
        cover: str | None,
        request: gr.Request,
    ) -> tuple[Any, str]:
        arguments = {
            "name": name,
            "new_name": new_name.strip(),
            "triggers": [word for word in (" ".join(piece.split()) for piece in triggers.split(",")) if word],
            "about": {"license": licence, "author": author, "description": description},
            "preview": cover,
        }
        try:
            now = self._desk.engine.result("change_adapter", arguments)["name"]
        except UserError as error:
            return gr.skip(), problem_line(str(error))
        key = "library.saved" if now == name else "library.renamed"
        return now, progress_line(self._desk.words.say(request, key, name=name, new=now))

    def _foresee(
        self,
        name: str,
        reader: str,
        format_name: str,
        allow_unread: bool,
        precision: str,
        rank: float | None,
        base: str,
        request: gr.Request,
    ) -> Iterator[str]:
        say = self._desk.words.say
        asked = _asked(name, reader, format_name, allow_unread, precision, rank, base)
        yield progress_line(say(request, "library.foreseeing"))
        try:
            found = self._desk.engine.result("export_adapter", {**asked, "only_tell": True})
        except UserError as error:
            yield problem_line(str(error))
            return
        yield progress_line("\n".join(list(map(on_page, found["notes"])) or [say(request, "library.all_read")]))

    def _export(
        self,
        name: str,
        reader: str,
        format_name: str,
        allow_unread: bool,
        precision: str,
        rank: float | None,
        base: str,
        request: gr.Request,
    ) -> Iterator[tuple[str, Any]]:
        say = self._desk.words.say
        asked = _asked(name, reader, format_name, allow_unread, precision, rank, base)
        yield progress_line(say(request, "library.exporting")), gr.File(visible=False)
        try:
            found = self._desk.engine.result("export_adapter", asked)
        except UserError as error:
            yield problem_line(str(error)), gr.skip()
            return
        key = "library.merged" if found["merged"] else "library.exported"
        lines = [
            say(request, key, modules=found["modules"], error=f"{found['error']:.1e}"),
            *map(on_page, found["notes"]),
        ]
        yield progress_line("\n".join(lines)), gr.File(value=found["path"], visible=True)

    def _remove(self, name: str, confirmed: str, request: gr.Request) -> tuple[Any, str]:
        try:
            if confirmed.strip() != name:
                raise UserError(
                    f"{confirmed.strip()!r} is not the adapter's name, so nothing was removed. It is {name!r}."
                )
            self._desk.library.remove(name)
        except UserError as error:
            return gr.skip(), problem_line(str(error))
        return "", progress_line(self._desk.words.say(request, "library.removed", name=name))


def _asked(
    name: str, reader: str, format_name: str, allow_unread: bool, precision: str, rank: float | None, base: str
) -> dict[str, Any]:
    """Return the form's choices as the job takes them."""
    return {
        "name": name,
        "reader": reader,
        "format": format_name,
        "allow_unread": allow_unread,
        "precision": precision,
        "rank": int(rank or 0),
        "base": base.strip(),
    }
