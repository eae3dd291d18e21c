"""Runs: what works, waits and is done, as the run folders tell it; live losses, samples and logs."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio.app.runs.controls import Controls
from studio.app.runs.curves import Curves
from studio.app.runs.head import Head, Log
from studio.app.runs.parts import Choice, Part, changes_of, look_at_runs
from studio.app.runs.run_list import RunList
from studio.app.runs.samples import Samples, look_back
from studio.app.shared.desk import Desk
from studio.app.shared.first_opening import first_opening
from studio.app.shared.named_inputs import QUIET, Changes, named
from studio.app.shared.tab_record import Tab
from studio.runs.metrics import MetricsShelf


def _build(desk: Desk) -> None:
    shelf = MetricsShelf()
    none = gr.Markdown(desk.words("runs.none"))
    with gr.Column(visible=False) as details:
        runs = RunList(desk, {"none": none, "details": details})
        head = Head()
        controls = Controls(desk, shelf)
        with gr.Row():
            with gr.Column(min_width=320, scale=3):
                curves = Curves(desk)
            with gr.Column(min_width=320, scale=2):
                samples = Samples(desk)
        log = Log(desk)
    _listen(desk, shelf, runs, controls, curves, samples, {"head": head, "log": log})


def _listen(
    desk: Desk,
    shelf: MetricsShelf,
    runs: RunList,
    controls: Controls,
    curves: Curves,
    samples: Samples,
    others: Mapping[str, Part],
) -> None:
    """Look at the runs each second, and whenever something else is wanted."""
    parts: Mapping[str, Part] = {"runs": runs, "controls": controls, "curves": curves, "samples": samples, **others}
    own, looked_back, seen = gr.State(""), gr.State(""), gr.State({})

    def show(choice: Choice, request: gr.Request) -> Changes:
        return changes_of(parts, look_at_runs(desk, shelf, choice, request))

    choice = {
        "name": runs.chosen,
        "own": own,
        "beside": runs.beside,
        "smoothing": curves.smoothing,
        "logarithmic": curves.logarithmic,
        "place": samples.place,
        "every": samples.every,
        "looked_back": looked_back,
        "seen": seen,
    }
    outputs = {name: component for part in parts.values() for name, component in part.outputs.items()}
    look = named(show, {"choice": choice}, {**outputs, "seen": seen})
    gr.Timer(1).tick(**look, **QUIET)
    changes = [component.change for component in (runs.beside, curves.smoothing, curves.logarithmic, samples.every)]
    gr.on(changes, **look, trigger_mode="always_last", **QUIET)

    inbox, chosen = desk.inbox("runs"), {"own": own}
    sent, back = {"sent": inbox}, {name: choice[name] for name in ("place", "name", "seen")}
    for event in (
        first_opening()(**named(_sent_name, sent, chosen), **QUIET),
        samples.place.input(
            **named(look_back, back, {"looked_back": looked_back}), trigger_mode="always_last", **QUIET
        ),
        runs.chosen.input(**named(_chosen_name, {"name": runs.chosen}, chosen), **QUIET),
        runs.table.select(**named(_picked, {}, chosen), **QUIET),
        inbox.change(**named(_sent_name, sent, chosen), **QUIET),
    ):
        event.then(**look, **QUIET)
    controls.listen(runs.chosen, look)


def _sent_name(sent: Mapping[str, Any] | None) -> Changes:
    """Return the name of the run that another tab left in the inbox."""
    return {"own": sent["name"]} if sent else {}


def _chosen_name(name: str | None) -> Changes:
    return {"own": name or ""}


def _picked(event: gr.SelectData) -> Changes:
    return {"own": event.row_value[0]} if event.row_value else {}


TAB = Tab("runs", 2, _build)
"""The tab."""
