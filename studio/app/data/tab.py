"""Data: a dataset's pictures and captions, looked at, edited, added to, and captioned by a model."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from studio.app.data.adding import build_adding
from studio.app.data.dataset_view import dataset_choices, own_dataset, survey, view_of
from studio.app.data.panels import build_panels
from studio.app.data.shelf import Shelf
from studio.app.shared.desk import Desk, told
from studio.app.shared.first_opening import first_opening
from studio.app.shared.progress_line import problem_line, progress_line
from studio.app.shared.tab_record import Tab
from studio.library.caption_edits import Change, History
from studio.library.datasets import check_writable
from trainers.data.captions import write_captions
from trainers.errors import UserError
from trainers.paths import path_of

# Keys for the whole tab: they press the buttons, which do the work.
_KEYS = """
if (!window.studioDataKeys) window.studioDataKeys = document.addEventListener('keydown', (event) => {
  const press = (id) => {
    const found = document.querySelector('#' + id);
    if (found && found.offsetParent) { event.preventDefault(); found.click(); }
  };
  if (event.ctrlKey && event.key === 'Enter') press('data-save-next');
  if (event.altKey && event.key === 'ArrowLeft') press('data-previous');
  if (event.altKey && event.key === 'ArrowRight') press('data-next');
}) || true;
"""


def _build(desk: Desk) -> None:
    words = desk.words
    shelf = Shelf(desk)
    with gr.Row():
        choice = gr.Dropdown(
            dataset_choices(desk.library),
            value=None,
            label=words("data.choice"),
            info=words("data.choice_help"),
            min_width=220,
            elem_id="data-choice",
        )
        folder = gr.Textbox(
            label=words("data.folder"),
            info=words("data.folder_help"),
            min_width=260,
            max_lines=1,
            elem_id="data-folder",
        )
        with gr.Column(min_width=160, scale=0):
            open_button = gr.Button(words("data.open"), variant="primary")
            refresh = gr.Button(words("shared.refresh"))
            train = gr.Button(words("data.train"))
    shelf.build()
    _build_editor(desk, shelf)
    build_panels(desk, shelf, look=_looking(desk, shelf))
    build_adding(desk, shelf, choice, look=_looking(desk, shelf))
    gr.HTML("", js_on_load=_KEYS)
    shelf.wire()

    look = _looking(desk, shelf)
    for event in (open_button.click, folder.submit):
        event(look, [folder], shelf.outputs, api_visibility="private", show_progress="minimal")

    def chosen(found: str | None, opened: str, request: gr.Request) -> Iterator[dict[Any, Any]]:
        if not found or found == opened:  # the list tells when it is left, too; a caption may be half typed
            yield {folder: gr.skip()}
            return
        yield {folder: found}
        yield from look(found, request)

    choice.input(
        chosen,
        [choice, shelf.opened],
        [folder, *shelf.outputs],
        api_visibility="private",
        show_progress="minimal",
    )
    refresh.click(
        lambda: gr.Dropdown(choices=dataset_choices(desk.library)), None, choice, api_visibility="private"
    ).then(look, [shelf.opened], shelf.outputs, api_visibility="private", show_progress="minimal")
    desk.inbox("data").change(
        lambda sent: (sent or {}).get("folder", ""), desk.inbox("data"), folder, api_visibility="private"
    ).then(look, [folder], shelf.outputs, api_visibility="private", show_progress="minimal")
    if "train" in desk.inboxes:
        desk.send(train.click, _for_training, [shelf.opened], to="train")
    else:
        train.visible = False

    first_opening()(
        lambda kept, typed, sent: (
            gr.Dropdown(choices=dataset_choices(desk.library)),
            kept if kept and not typed and not sent else gr.skip(),
        ),
        [shelf.memory, folder, desk.inbox("data")],
        [choice, folder],
        api_visibility="private",
        show_progress="hidden",
    ).then(
        _looking(desk, shelf, quietly=True), [folder], shelf.outputs, api_visibility="private", show_progress="hidden"
    )


def _for_training(folder: str) -> Mapping[str, Any]:
    if not folder:
        raise UserError("No dataset is open. Choose one first.")
    return {"config": {"data": folder}}


def _looking(desk: Desk, shelf: Shelf, *, quietly: bool = False) -> Any:
    """Return the handler that opens a folder, or looks at it again, and fills the whole tab."""

    def look(folder: str, request: gr.Request) -> Iterator[dict[Any, Any]]:
        wanted = str(path_of(folder)) if (folder or "").strip() else ""
        if not wanted:
            if quietly:
                yield {shelf.status: gr.skip()}
                return
            yield {shelf.status: progress_line(desk.words.say(request, "data.start"))}
            return
        try:
            for done, total in survey(desk.engine, desk.library, wanted):
                said = desk.words.say(request, "data.opening", done=done, total=total)
                yield {shelf.status: progress_line(said, done, total)}
            yield shelf.shown(view_of(desk.library, wanted), wanted, request)
        except UserError as error:
            if quietly:  # the folder of last time is gone; the page opens without it
                yield {shelf.memory: ""}
                return
            # the pictures of before still stand below, so the sentence stands between them and the path
            yield {shelf.status: problem_line(str(error))}
            with told():
                raise error

    return look


def _build_editor(desk: Desk, shelf: Shelf) -> None:
    words = desk.words
    with gr.Row(visible=False, elem_id="data-editor") as shelf.editor:
        shelf.picture = gr.Image(
            label=words("data.picture"),
            alt_text=words.both("data.picture"),
            interactive=False,
            height=300,
            buttons=[],
            min_width=240,
            type="filepath",
        )
        with gr.Column(min_width=300, scale=2):
            shelf.name = gr.Textbox(label=words("data.name"), interactive=False, max_lines=1, elem_id="data-name")
            shelf.caption = gr.Textbox(
                label=words("data.caption"), info=words("data.caption_help"), lines=3, elem_id="data-caption"
            )
            with gr.Row():
                previous = gr.Button(words("data.previous"), elem_id="data-previous", min_width=90)
                following = gr.Button(words("data.next"), elem_id="data-next", min_width=90)
                save = gr.Button(words("data.save_next"), elem_id="data-save-next", variant="primary", min_width=140)
            with gr.Row():
                shelf.undo = gr.Button(words("data.undo"), min_width=140, interactive=False)
                remove = gr.Button(words("data.remove"), min_width=140, visible=False)
                sure = gr.Button(words("data.remove_sure"), variant="stop", min_width=140, visible=False)
                keep = gr.Button(words("data.keep"), min_width=90, visible=False)
            shelf.remove = remove

    def moved(places: int) -> Any:
        def go(folder: str, selected: str, request: gr.Request) -> dict[Any, Any]:
            with told():
                view = view_of(desk.library, folder)
                return shelf.selected_now(view, view.neighbour(selected, places), folder, request)

        return go

    def chosen(folder: str, page: float, event: gr.SelectData, request: gr.Request) -> dict[Any, Any]:
        with told():
            view = view_of(desk.library, folder)
            names = view.page(int(page))
            number = int(event.index) if isinstance(event.index, int) else 0
            return shelf.selected_now(view, names[min(number, len(names) - 1)], folder, request)

    def save_and_go(folder: str, selected: str, text: str, request: gr.Request) -> dict[Any, Any]:
        with told():
            _save(desk, folder, selected, text)
            view = view_of(desk.library, folder)
            answer = shelf.selected_now(view, view.neighbour(selected, 1), folder, request)
            answer |= shelf.facts(view, request)
            return {**answer, shelf.status: progress_line(words.say(request, "data.saved", name=selected))}

    def undo(folder: str, selected: str, request: gr.Request) -> dict[Any, Any]:
        with told():
            check_writable(Path(folder))
            changes = History(desk.library, Path(folder)).undo()
            view = view_of(desk.library, folder)
            at = selected if len(changes) > 1 else changes[0].name
            answer = shelf.selected_now(view, at, folder, request) | shelf.facts(view, request)
            return {**answer, shelf.status: progress_line(words.say(request, "data.undone", count=len(changes)))}

    def take_away(folder: str, selected: str, request: gr.Request) -> dict[Any, Any]:
        with told():
            if not own_dataset(desk.library, folder):
                raise UserError(f"{folder} is not one of your datasets, so nothing is removed from it.")
            view = view_of(desk.library, folder)
            if selected not in view.captions:
                raise UserError(f"{selected!r} is not there any more.")
            at = next(
                (name for name in (view.neighbour(selected, 1), view.neighbour(selected, -1)) if name != selected), ""
            )
            (Path(folder) / selected).unlink()
            after = view_of(desk.library, folder)
            answer = shelf.shown(after, folder, request, selected=at)
            return {**answer, shelf.status: progress_line(words.say(request, "data.removed", name=selected))}

    at = [shelf.opened, shelf.selected]
    quiet: Mapping[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    previous.click(moved(-1), at, shelf.editor_outputs, **quiet)
    following.click(moved(1), at, shelf.editor_outputs, **quiet)
    shelf.gallery.select(chosen, [shelf.opened, shelf.page], shelf.editor_outputs, **quiet)
    shelf.wire_later(lambda: save.click(save_and_go, [*at, shelf.caption], shelf.outputs, **quiet))
    shelf.wire_later(lambda: shelf.undo.click(undo, at, shelf.outputs, **quiet))

    def asking(open_question: bool) -> Any:
        return lambda: [gr.Button(visible=not open_question), *(gr.Button(visible=open_question) for _ in range(2))]

    remove.click(asking(True), None, [remove, sure, keep], **quiet)
    keep.click(asking(False), None, [remove, sure, keep], **quiet)
    shelf.wire_later(
        lambda: sure.click(take_away, at, shelf.outputs, **quiet).then(
            asking(False), None, [remove, sure, keep], **quiet
        )
    )


def _save(desk: Desk, folder: str, name: str, text: str) -> None:
    """Write one caption, if it changed."""
    place = Path(folder)
    check_writable(place)
    now = view_of(desk.library, folder).captions
    if name not in now:
        raise UserError(f"{name!r} is not there any more.")
    after = " ".join(text.split())
    if now[name].text and after != now[name].text:
        History(desk.library, place).apply([Change(name, now[name].text, after)])
    elif not now[name].text:
        write_captions(place, {name: after})


TAB = Tab("data", 40, _build)
