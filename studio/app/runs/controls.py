"""The part of Runs that does something with the chosen run: buttons for its work, and ways to other tabs."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr

from studio.app.runs.actions import ACTIONS, act, usable_actions
from studio.app.runs.panel import RunPanel
from studio.app.runs.parts import Look
from studio.app.shared.desk import Desk, told
from studio.app.shared.escaping import plain_markdown
from studio.app.shared.named_inputs import QUIET, Changes, Fields, named
from studio.runs.metrics import MetricsShelf
from studio.runs.watch import find_row, run_rows
from trainers.errors import UserError
from trainers.names import check_name

_TRIED_IN = ("generate", "text")
"""Tabs in which results are tried; a run's kind says which."""


class Controls:
    """A `Part`."""

    def __init__(self, desk: Desk, shelf: MetricsShelf) -> None:
        """Place it."""
        self._desk, self._shelf, words = desk, shelf, desk.words
        with gr.Row():
            self._actions = {name: self._button(name) for name in ACTIONS}
            self._clone = self._button("clone")
            onward = [name for name in (*_TRIED_IN, "library") if name in desk.inboxes]
            self._onward = {name: self._button(name, interactive=False) for name in onward}
        with gr.Group(visible=False) as self._asking:
            self._sure = gr.Markdown(padding=True)
            with gr.Row():
                self._yes = gr.Button(words("runs.yes"), variant="stop", min_width=140)
                self._no = gr.Button(words("runs.no"), min_width=140)
        self.outputs: Fields = {**self._actions, **{f"to_{name}": button for name, button in self._onward.items()}}

    def _button(self, name: str, **options: Any) -> gr.Button:
        return gr.Button(self._desk.words(f"runs.{name}"), size="sm", min_width=140, **options)

    def listen(self, chosen: gr.Dropdown, look: Mapping[str, Any]) -> None:
        """Do what is pressed with the chosen run, and look again; `look` are the arguments of that event."""
        name = {"name": chosen}
        for action, button in self._actions.items():
            if action != "remove":
                button.click(**named(partial(self._act, action), name), **QUIET).then(**look, **QUIET)
        asking = {"asking": self._asking}
        self._actions["remove"].click(**named(self._ask, name, {**asking, "sure": self._sure}), **QUIET)
        self._no.click(**named(_asked, {}, asking), **QUIET)
        removed = self._yes.click(**named(partial(self._act, "remove"), name), **QUIET)
        removed.then(**named(_asked, {}, asking), **QUIET).then(**look, **QUIET)
        if "train" in self._desk.inboxes:
            self._desk.send(self._clone.click, self._for_training, name, to="train")
        for tab, button in self._onward.items():
            content = self._for_trial if tab in _TRIED_IN else _named
            self._desk.send(button.click, content, name, to=tab)

    def depends_on(self, look: Look) -> Any:
        """Return what changes with the run."""
        return look.stamp

    def changes(self, look: Look) -> Changes:
        """Return which buttons can be pressed."""
        changes: dict[str, Any] = {
            action: gr.update(interactive=usable) for action, usable in usable_actions(look.row).items()
        }
        is_done = look.row is not None and look.row.status == "done"
        for tab in self._onward:
            fits = tab not in _TRIED_IN or (look.panel is not None and tab == look.panel.tried_in())
            changes[f"to_{tab}"] = gr.update(interactive=is_done, visible=fits)
        return changes

    def _act(self, action: str, name: str | None) -> None:
        with told():
            if not name:
                raise UserError("No run is chosen. Choose one above.")
            act(self._desk, action, check_name(name))  # a page never names a folder elsewhere

    def _ask(self, name: str, request: gr.Request) -> Changes:
        sure = self._desk.words.say(request, "runs.sure", name=plain_markdown(name))
        return {"asking": gr.update(visible=True), "sure": sure}

    def _for_training(self, name: str | None) -> Mapping[str, Any]:
        return {"config": self._panel(name).settings()}

    def _for_trial(self, name: str | None) -> Mapping[str, Any]:
        return self._panel(name).for_trial()

    def _panel(self, name: str | None) -> RunPanel:
        row = find_row(run_rows(self._desk.library, self._desk.queue), name)
        if row is None:
            raise UserError("No run is chosen. Choose one above.")
        return RunPanel(self._desk.library, self._shelf, row)


def _asked() -> Changes:
    return {"asking": gr.update(visible=False)}


def _named(name: str | None) -> Mapping[str, Any]:
    return {"name": name}
