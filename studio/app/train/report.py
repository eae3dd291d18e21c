"""The part of Train that checks the settings, queues the run, and says how that went."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import gradio as gr

from studio.app.shared.desk import Desk, told
from studio.app.shared.named_inputs import Changes, named
from studio.app.shared.progress_line import progress_line
from studio.app.shared.run_report import preflight_html
from studio.app.train.form import Form
from studio.app.train.run_api import queue_run

_WORKING: Mapping[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}


class Report:
    """What was found, and the way to the run that was queued last."""

    def __init__(self, desk: Desk) -> None:
        """Place both."""
        self._desk = desk
        self._said = gr.HTML(elem_id="train-report", padding=True)
        self._watch = gr.Button(desk.words("train.watch"), visible=False, elem_id="train-watch")
        self._passed, self._queued = gr.State(None), gr.State("")
        if "runs" in desk.inboxes:
            desk.send(self._watch.click, _named, {"name": self._queued}, to="runs")

    def listen(self, form: Form, check: gr.Button, add: gr.Button) -> None:
        """Check and queue what stands in a form that has just been placed."""
        checked = {"said": self._said, "passed": self._passed}
        values = {"values": form.fields}
        check.click(**named(partial(self._check, form), values, checked), **_WORKING)
        queued = {**checked, "queued": self._queued, "watch": self._watch}
        add.click(**named(partial(self._enqueue, form), {"passed": self._passed, **values}, queued), **_WORKING)

    def _check(self, form: Form, values: dict[str, Any], request: gr.Request) -> Iterator[Changes]:
        yield from self._preflight(form.settings(values), request)

    def _enqueue(self, form: Form, passed: Any, values: dict[str, Any], request: gr.Request) -> Iterator[Changes]:
        settings = form.settings(values)
        if passed != settings:
            for changes in self._preflight(settings, request):
                yield changes
                passed = changes["passed"]
        if passed == settings:
            name = queue_run(self._desk, settings)
            line = progress_line(self._desk.words.say(request, "train.queued", name=name))
            yield {"said": line, "passed": None, "queued": name, "watch": gr.Button(visible=True)}

    def _preflight(self, settings: Mapping[str, Any], request: gr.Request) -> Iterator[Changes]:
        """Yield what to show, and as `passed` the settings once they have passed, else None."""
        say = partial(self._desk.words.say, request)
        yield {"said": f'<p role="status">{say("train.preflight")}</p>', "passed": None}
        with told():
            for event in self._desk.engine.run("preflight", {"settings": dict(settings)}):
                if event["event"] == "waiting" and event["ahead"]:
                    waiting = say("shared.waiting", ahead=event["ahead"])
                    yield {"said": f'<p role="status">{waiting}</p>', "passed": None}
                elif event["event"] == "result":
                    texts = [say(f"train.{key}") for key in ("ready", "not_ready", "notes")]
                    passed = None if event["problems"] else settings
                    yield {"said": preflight_html(event, *texts), "passed": passed}


def _named(name: str) -> dict[str, Any]:
    return {"name": name}
