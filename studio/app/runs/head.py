"""The parts of Runs that say how the chosen run goes: the line over everything, and its log."""

from typing import Any

import gradio as gr

from studio.app.runs.parts import Look
from studio.app.runs.run_list import state_of
from studio.app.shared.desk import Desk
from studio.app.shared.named_inputs import Changes, Fields


class Head:
    """A `Part`: state, progress, and the time left."""

    def __init__(self) -> None:
        """Place it."""
        self.outputs: Fields = {"head": gr.HTML(elem_id="runs-head", padding=True)}

    def depends_on(self, look: Look) -> Any:
        """Return what changes with the run."""
        return look.stamp

    def changes(self, look: Look) -> Changes:
        """Return the line."""

        def left(time: str) -> str:
            return look.say("runs.left", time=time)

        return {"head": look.panel.head(state_of(look, look.row), left) if look.panel else ""}


class Log:
    """A `Part`: the end of the log."""

    def __init__(self, desk: Desk) -> None:
        """Place it."""
        label = desk.words("runs.log")
        log = gr.Textbox(label=label, lines=10, max_lines=10, interactive=False, elem_classes="studio-log")
        self.outputs: Fields = {"log": log}

    def depends_on(self, look: Look) -> Any:
        """Return what changes with the run."""
        return look.stamp

    def changes(self, look: Look) -> Changes:
        """Return the log."""
        return {"log": look.panel.log() if look.panel else ""}
