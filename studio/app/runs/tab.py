"""Runs: what works, waits and is done, as the run folders tell it; live losses, samples and logs."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from studio.app.runs.answers import answers_html
from studio.app.runs.line_chart import line_chart
from studio.app.runs.panel import RunPanel, nearest
from studio.app.runs.words import TEXTS
from studio.app.shared.desk import Desk, told
from studio.app.shared.escaping import plain_markdown
from studio.app.shared.field_texts import kind_title
from studio.app.shared.first_opening import first_opening
from studio.app.shared.tab_record import Tab
from studio.app.shared.tables import filled, text_table
from studio.app.shared.words import reader_language
from studio.runs.kinds import run_kinds
from studio.runs.metrics import MetricsShelf
from studio.runs.queue import ask_run, kill_run
from studio.runs.watch import RunRow, find_row, first_row, run_rows
from trainers.errors import UserError
from trainers.names import check_name

_TRIED_IN = ("generate", "text")
"""Tabs in which results are tried; a run's kind says which."""
_HEADS = ("runs.run", "runs.state", "runs.progress", "runs.kind", "runs.updated")
_ACTIONS = ("start", "stop", "kill", "save", "sample", "up", "down", "remove")


def _build(desk: Desk) -> None:
    words, shelf = desk.words, MetricsShelf()
    seen = gr.State({})
    own = gr.State("")  # the run that the user chose, or another tab sent; else the one that works is shown
    looked_back = gr.State("")  # the run of which an older sample than the newest was chosen
    none = gr.Markdown(words("runs.none"))
    with gr.Column(visible=False) as details:
        table = text_table(words, "runs.table", *_HEADS, max_height=260, elem_id="runs-table", wrap=False)
        with gr.Row():
            chosen = gr.Dropdown(
                [], label=words("runs.run"), allow_custom_value=True, elem_id="runs-run", min_width=240
            )
            beside = gr.Dropdown(
                [], multiselect=True, allow_custom_value=True, label=words("runs.beside"), min_width=240
            )
        head = gr.HTML(elem_id="runs-head", padding=True)
        with gr.Row():
            buttons = {name: gr.Button(words(f"runs.{name}"), size="sm", min_width=140) for name in _ACTIONS}
            clone = gr.Button(words("runs.clone"), size="sm", min_width=140)
            onward = {
                name: gr.Button(words(f"runs.{name}"), size="sm", min_width=140, interactive=False)
                for name in (*_TRIED_IN, "library")
                if name in desk.inboxes
            }
        with gr.Group(visible=False) as asking:
            sure = gr.Markdown(padding=True)
            with gr.Row():
                yes = gr.Button(words("runs.yes"), variant="stop", min_width=140)
                no = gr.Button(words("runs.no"), min_width=140)
        with gr.Row():
            with gr.Column(min_width=320, scale=3):
                loss = gr.HTML(elem_id="runs-loss")
                with gr.Row():
                    smoothing = gr.Slider(0, 0.99, 0.9, step=0.01, label=words("runs.smoothing"), min_width=180)
                    logarithmic = gr.Checkbox(False, label=words("runs.logarithmic"), min_width=140)
                with gr.Accordion(words("runs.rates"), open=False):
                    rates = gr.HTML(elem_id="runs-rates")
                measures = gr.HTML(visible=False, elem_id="runs-measures")
            with gr.Column(min_width=320, scale=2):
                place = gr.Slider(0, 1, 0, step=1, label=words("runs.sample_place"), elem_id="runs-place")
                every = gr.Checkbox(False, label=words("runs.every_step"))
                gallery = gr.Gallery(
                    label=words("runs.samples"), columns=2, height=420, object_fit="contain", interactive=False
                )
                answers = gr.HTML(visible=False, elem_id="runs-answers")
        log = gr.Textbox(label=words("runs.log"), lines=10, max_lines=10, interactive=False, elem_classes="studio-log")

    inputs = [chosen, own, beside, smoothing, logarithmic, place, every, looked_back, seen]
    shown = [none, details, table, chosen, beside, head, *buttons.values(), *onward.values(), loss, rates, measures]
    shown += [place, gallery, answers, log, seen]

    def say_left(request: gr.Request, time: str) -> str:
        return words.say(request, "runs.left", time=time)

    def say_caption(request: gr.Request, step: int, prompt: str) -> str:
        return words.say(request, "runs.caption", step=step, prompt=prompt)

    def look(
        name: str | None,
        own: str,
        others: list[str] | None,
        smooth: float,
        log_scale: bool,
        at: float,
        all_steps: bool,
        held: str,
        before: dict[str, Any],
        request: gr.Request,
    ) -> list[Any]:
        now: dict[str, Any] = {}
        rows = run_rows(desk.library, desk.queue)
        row = find_row(rows, own) or first_row(rows, before.get("name", ""))
        now["name"] = row.name if row else ""
        names = [one.name for one in rows]
        others = [one for one in others or [] if one in names]
        now["rows"] = (rows, row.name if row else None, others)
        changed: dict[Any, Any] = {}
        if now["rows"] != before.get("rows"):
            changed[none], changed[details] = gr.Markdown(visible=not rows), gr.Column(visible=bool(rows))
            changed[table] = filled(words, request, [_cells(desk, one, request) for one in rows], *_HEADS)
            named = row.name if row else None
            # its value only where it must change: another may have been chosen since this look began
            changed[chosen] = gr.Dropdown(names) if named == name else gr.Dropdown(names, value=named)
            changed[beside] = gr.Dropdown([one for one in names if row is None or one != row.name], value=others)
        panel = RunPanel(desk.library, shelf, row) if row else None
        stamp = panel.stamp() if panel else None
        stamps = [RunPanel(desk.library, shelf, own).stamp() for own in rows if own.name in others]
        now["panel"] = stamp
        if stamp != before.get("panel"):
            changed[head] = panel.head(_state(desk, row, request), partial(say_left, request)) if panel else ""
            changed[log] = panel.log() if panel else ""
            for action, usable in _usable(row).items():
                changed[buttons[action]] = gr.Button(interactive=usable)
            for to, button in onward.items():
                fits = to not in _TRIED_IN or (panel is not None and to == panel.tried_in())
                changed[button] = gr.Button(interactive=row is not None and row.status == "done", visible=fits)
        now["chart"] = (stamp, stamps, smooth, log_scale)
        if now["chart"] != before.get("chart"):
            lines = [words.say(request, f"runs.{key}") for key in ("raw", "smoothed", "validation")]
            across = words.say(request, "runs.step")
            title, losses = words.say(request, "runs.loss"), panel.loss(others, smooth, lines) if panel else []
            changed[loss] = line_chart(losses, title, across, logarithmic=log_scale)
            learning = panel.rates(others) if panel else []
            changed[rates] = line_chart(learning, words.say(request, "runs.rates"), across)
            further = line_chart(panel.measures(others) if panel else [], words.say(request, "runs.measures"), across)
            changed[measures] = gr.HTML(further, visible=bool(further))
        steps = panel.sample_steps() if panel else []
        newest = steps[-1] if steps else 0
        at = nearest(steps, at) if row and held == row.name else newest  # else it follows the newest
        now["steps"] = steps
        now["samples"] = (row.name if row else None, steps, at, all_steps, row.works if row else False)
        if now["samples"] != before.get("samples"):
            changed |= _samples(panel, steps, at, all_steps, request)
        if now != before:
            changed[seen] = now
        return [changed.get(component, gr.skip()) for component in shown]

    def _samples(
        panel: RunPanel | None, steps: Sequence[int], step: int, all_steps: bool, request: gr.Request
    ) -> dict[Any, Any]:
        pictures = panel.gallery(-1 if all_steps else step, partial(say_caption, request)) if panel else []
        texts = panel.texts(-1 if all_steps else step) if panel else []
        columns = (
            max(1, len(pictures) // max(1, min(24, len(steps)))) if all_steps else min(4, max(2, len(pictures) // 2))
        )
        at_step = partial(words.say, request, "runs.answer_at")
        count = partial(words.say, request, "runs.answers")
        title = words.say(request, "runs.at_steps") if all_steps else words.say(request, "runs.at_step", step=step)
        return {
            place: gr.Slider(maximum=max([1, *steps]), value=step, interactive=len(steps) > 1),
            gallery: gr.Gallery(pictures, label=title, columns=columns, visible=bool(pictures) or not texts),
            answers: gr.HTML(answers_html(texts, count, at_step), visible=bool(texts)),
        }

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gr.Timer(1).tick(look, inputs, shown, **quiet)
    sent = desk.inbox("runs")
    first_opening()(_sent_name, sent, own, **quiet).then(look, inputs, shown, **quiet)
    changes = [beside.change, smoothing.change, logarithmic.change, every.change]
    gr.on(changes, look, inputs, shown, trigger_mode="always_last", **quiet)
    place.input(
        lambda at, name, before: "" if nearest(before["steps"], at) == nearest(before["steps"], math.inf) else name,
        [place, chosen, seen],
        [looked_back],
        trigger_mode="always_last",
        **quiet,
    ).then(look, inputs, shown, **quiet)
    for told_by in (
        chosen.input(lambda name: name or "", chosen, own, **quiet),
        table.select(_picked, None, own, **quiet),
        sent.change(_sent_name, sent, own, **quiet),
    ):
        told_by.then(look, inputs, shown, **quiet)

    for action in _ACTIONS[:-1]:
        buttons[action].click(_acting(desk, action), [chosen], None, **quiet).then(look, inputs, shown, **quiet)

    def ask_first(name: str, request: gr.Request) -> tuple[Any, Any]:
        return gr.Group(visible=True), words.say(request, "runs.sure", name=plain_markdown(name))

    buttons["remove"].click(ask_first, [chosen], [asking, sure], **quiet)
    no.click(lambda: gr.Group(visible=False), None, [asking], **quiet)
    yes.click(_acting(desk, "remove"), [chosen], None, **quiet).then(
        lambda: gr.Group(visible=False), None, [asking], **quiet
    ).then(look, inputs, shown, **quiet)

    def panel_of(name: str | None) -> RunPanel:
        row = find_row(run_rows(desk.library, desk.queue), name)
        if row is None:
            raise UserError("No run is chosen. Choose one above.")
        return RunPanel(desk.library, shelf, row)

    if "train" in desk.inboxes:
        desk.send(clone.click, lambda name: {"config": panel_of(name).settings()}, [chosen], to="train")
    for tab in _TRIED_IN:
        if tab in onward:
            desk.send(onward[tab].click, lambda name: panel_of(name).for_trial(), [chosen], to=tab)
    if "library" in onward:
        desk.send(onward["library"].click, lambda name: {"name": name}, [chosen], to="library")


def _sent_name(sent: Any) -> Any:
    """Return the name of the run that another tab left in the inbox."""
    return sent["name"] if sent else gr.skip()


def _picked(event: gr.SelectData) -> Any:
    return event.row_value[0] if event.row_value else gr.skip()


def _acting(desk: Desk, action: str) -> Callable[[str | None], None]:
    def act(name: str | None) -> None:
        with told():
            if not name:
                raise UserError("No run is chosen. Choose one above.")
            _act(desk, action, check_name(name))  # a page never names a folder elsewhere

    return act


def _act(desk: Desk, action: str, name: str) -> None:
    """Do what a button says.

    Raises:
        UserError: it cannot be done with the run as it is.
    """
    if action == "start":
        desk.queue.add(name)
    elif action in ("up", "down"):
        desk.queue.move(name, -1 if action == "up" else 1)
    elif action == "remove":
        if name in desk.queue.waiting():
            desk.queue.remove(name)
        desk.library.remove_run(name)
    elif name in desk.queue.waiting():
        desk.queue.remove(name)  # stopping one that waits
    elif action == "kill":
        kill_run(desk.library, name)
    else:
        ask_run(desk.library, name, action)  # type: ignore[arg-type]


def _usable(row: RunRow | None) -> dict[str, bool]:
    """Return which actions fit the run's state."""
    if row is None:
        return dict.fromkeys(_ACTIONS, False)
    waits = row.status == "waiting"
    working = row.status in ("running", "stopping")
    return {
        "start": row.startable,
        "stop": waits or row.status in ("running", "starting"),
        "kill": row.works,
        "save": working,
        "sample": working,
        "up": waits,
        "down": waits,
        "remove": not row.works,
    }


def _state(desk: Desk, row: RunRow | None, request: gr.Request) -> str:
    return desk.words.say(request, f"runs.is.{row.status}", place=row.place) if row else ""


def _cells(desk: Desk, row: RunRow, request: gr.Request) -> list[str]:
    steps = f"{row.step:,} / {row.total:,}" if row.total else ""
    updated = row.updated[:19].replace("T", " ") + (" UTC" if row.updated else "")
    kind = run_kinds().get(row.kind)
    title = kind_title(kind, reader_language(request) == 1) if kind else row.kind
    return [row.name, _state(desk, row, request), steps, title, updated]


TAB = Tab("runs", 2, _build, TEXTS)
"""The tab."""
