"""The Data tab's gallery and what is filled with it: one place that says what every component shows of a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from studio.app.data.dataset_view import DatasetView, own_dataset, view_of
from studio.app.shared.desk import Desk, told
from studio.app.shared.memory import browser_memory
from studio.app.shared.progress_line import notes_html, progress_line
from studio.app.shared.tables import filled
from studio.library.caption_edits import History, tag_counts
from studio.library.datasets import is_example
from studio.library.image_index import aspects_told, sizes_told
from trainers.data.likeness import LIKELY_BITS

TAGS = ("data.tag", "data.count")
SIZES = ("data.size", "data.pictures")
ASPECTS = ("data.aspect", "data.pictures")
PROBLEMS = ("data.name", "data.problem")


class Shelf:
    """The components that show the open folder. Those of the editor and the panels are put in where they are built."""

    editor: gr.Row
    panels: gr.Column
    picture: gr.Image
    name: gr.Textbox
    caption: gr.Textbox
    undo: gr.Button
    remove: gr.Button
    tags: gr.Dataframe
    bits: gr.Slider
    pairs_told: gr.Markdown
    pairs: gr.Gallery
    sizes: gr.Dataframe
    aspects: gr.Dataframe
    problems_told: gr.Markdown
    problems: gr.Dataframe

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.opened = gr.State("")
        self.selected = gr.State("")
        self.memory = browser_memory("", "studio-data")

        self._later: list[Callable[[], Any]] = []

    def wire_later(self, wire: Callable[[], Any]) -> None:
        """Connect an event once every component is there."""
        self._later.append(wire)

    def wire(self) -> None:
        """Connect what waited for the components; called once, when all are placed."""
        for wire in self._later:
            wire()

    def build(self) -> None:
        """Place the summary and the gallery."""
        words = self._desk.words
        self.status = gr.HTML(words("data.start"), elem_id="data-status")
        self.notes = gr.HTML(visible=False, elem_id="data-notes")
        self.gallery = gr.Gallery(
            label=words("data.gallery"),
            columns=8,
            height="auto",
            object_fit="contain",
            fit_columns=False,  # or a single picture takes the whole width, and its caption is out of view
            allow_preview=False,
            interactive=False,
            buttons=[],
            visible=False,
            elem_id="data-gallery",
        )
        self.page = gr.Slider(1, 2, 1, step=1, label=words("data.page"), visible=False)
        self.page.release(
            self._turn, [self.opened, self.page], [self.gallery], api_visibility="private", show_progress="minimal"
        )

    @property
    def editor_outputs(self) -> list[Any]:
        """What changes with the selected picture."""
        return [self.selected, self.gallery, self.picture, self.name, self.caption, self.undo, self.editor, self.page]

    @property
    def outputs(self) -> list[Any]:
        """All that a folder fills."""
        panels = [self.tags, self.pairs_told, self.pairs, self.sizes, self.aspects, self.problems_told, self.problems]
        return [
            self.opened,
            self.memory,
            self.status,
            self.notes,
            *self.editor_outputs,
            self.remove,
            self.panels,
            *panels,
        ]

    def shown(self, view: DatasetView, folder: str, request: gr.Request, selected: str = "") -> dict[Any, Any]:
        """Return what everything shows of a folder, with one picture selected."""
        at = selected if selected in view.captions else next(iter(view.names), "")
        own = bool(own_dataset(self._desk.library, folder))
        return {
            self.opened: folder,
            self.memory: folder,
            self.remove: gr.Button(visible=own and bool(at)),
            self.panels: gr.Column(visible=bool(view.names)),
            **self.selected_now(view, at, folder, request, fill=True),
            **self.facts(view, request),
        }

    def selected_now(
        self, view: DatasetView, name: str, folder: str, request: gr.Request, *, fill: bool = False
    ) -> dict[Any, Any]:
        """Return what the editor shows of one picture; the gallery is filled anew only where it must be."""
        page = view.page_of(name)
        names = view.page(page)
        position = names.index(name) if name in names else None
        read_only = bool(folder) and is_example(Path(folder))
        caption = view.captions.get(name)
        gallery: dict[str, Any] = {"selected_index": position, "visible": bool(view.names)}
        if fill or name not in names[1:-1]:  # at the edges of a page it may have turned
            gallery["value"] = self._items(view, names, request)
        return {
            self.selected: name,
            self.gallery: gr.Gallery(**gallery),
            self.page: gr.Slider(value=page, maximum=max(2, view.pages), visible=view.pages > 1),
            self.picture: view.thumbnail(name),
            self.name: name,
            self.caption: gr.Textbox(value=caption.text if caption else "", interactive=not read_only),
            self.undo: gr.Button(interactive=not read_only and bool(History(self._desk.library, Path(folder)).edits())),
            self.editor: gr.Row(visible=bool(name)),
        }

    def facts(self, view: DatasetView, request: gr.Request) -> dict[Any, Any]:
        """Return what the summary and the panels say."""
        words, say = self._desk.words, self._desk.words.say
        problems = view.problems()
        broken = sum(bool(item.problem) for item in view.known.values())
        captioned = sum(bool(caption.text) for caption in view.captions.values())
        if view.names:
            status = say(request, "data.summary", pictures=len(view.names), captioned=captioned, broken=broken)
        else:
            status = say(request, "data.empty")
        if is_example(view.index.folder):
            status += " " + say(request, "data.read_only")
        return {
            self.status: progress_line(status),
            self.notes: gr.HTML(notes_html(say(request, "data.notes"), view.notes), visible=bool(view.notes)),
            self.tags: filled(words, request, tag_counts(view.captions.values()), *TAGS),
            self.sizes: filled(words, request, sizes_told(view.known), *SIZES),
            self.aspects: filled(words, request, aspects_told(view.known), *ASPECTS),
            self.problems: gr.Dataframe(value=filled(words, request, problems, *PROBLEMS), visible=bool(problems)),
            self.problems_told: gr.Markdown(
                say(request, "data.no_problems"), visible=bool(view.names) and not problems
            ),
            **self.alike(view, LIKELY_BITS, request),
        }

    def alike(self, view: DatasetView, most_bits: int, request: gr.Request) -> dict[Any, Any]:
        """Return what the panel of near-duplicates shows."""
        say = self._desk.words.say
        pairs = view.pairs(most_bits)
        said = say(request, "data.pairs_found", count=len(pairs)) if pairs else say(request, "data.no_pairs")
        items = [
            (view.thumbnail(name), f"{name} ({pair.bits})") for pair in pairs for name in (pair.first, pair.second)
        ]
        return {self.pairs_told: said, self.pairs: gr.Gallery(value=items, visible=bool(pairs))}

    def _items(self, view: DatasetView, names: list[str], request: gr.Request) -> list[tuple[str | None, str]]:
        return [(view.thumbnail(name), self._label(view, name, request)) for name in names]

    def _label(self, view: DatasetView, name: str, request: gr.Request) -> str:
        say = self._desk.words.say
        if view.known[name].problem:
            return f"{name}: {say(request, 'data.unreadable')}"
        return name if view.captions[name].text else f"{name}: {say(request, 'data.no_caption')}"

    def _turn(self, folder: str, page: float, request: gr.Request) -> Any:
        with told():
            view = view_of(self._desk.library, folder)
            return gr.Gallery(value=self._items(view, view.page(int(page)), request), selected_index=None)
