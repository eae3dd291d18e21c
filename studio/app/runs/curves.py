"""The part of Runs that draws what is measured: losses, learning rates, and whatever else a kind measures."""

from typing import Any

import gradio as gr

from studio.app.runs.line_chart import line_chart
from studio.app.runs.panel import RunPanel
from studio.app.runs.parts import Look
from studio.app.shared.desk import Desk
from studio.app.shared.named_inputs import Changes, Fields


class Curves:
    """A `Part`."""

    def __init__(self, desk: Desk) -> None:
        """Place it."""
        words = desk.words
        loss = gr.HTML(elem_id="runs-loss")
        with gr.Row():
            self.smoothing = gr.Slider(0, 0.99, 0.9, step=0.01, label=words("runs.smoothing"), min_width=180)
            self.logarithmic = gr.Checkbox(False, label=words("runs.logarithmic"), min_width=140)
        with gr.Accordion(words("runs.rates"), open=False):
            rates = gr.HTML(elem_id="runs-rates")
        measures = gr.HTML(visible=False, elem_id="runs-measures")
        self.outputs: Fields = {"loss": loss, "rates": rates, "measures": measures}

    def depends_on(self, look: Look) -> Any:
        """Return what changes with the runs that are drawn, and how they are drawn."""
        beside = [RunPanel(look.desk.library, look.shelf, one).stamp() for one in look.rows if one.name in look.beside]
        return look.stamp, beside, look.choice.smoothing, look.choice.logarithmic

    def changes(self, look: Look) -> Changes:
        """Return the charts."""
        panel, choice, across = look.panel, look.choice, look.say("runs.step")
        names = [look.say(f"runs.{key}") for key in ("raw", "smoothed", "validation")]
        losses = panel.loss(look.beside, choice.smoothing, names) if panel else []
        rates, measures = (panel.rates(look.beside), panel.measures(look.beside)) if panel else ([], [])
        further = line_chart(measures, look.say("runs.measures"), across)
        return {
            "loss": line_chart(losses, look.say("runs.loss"), across, logarithmic=choice.logarithmic),
            "rates": line_chart(rates, look.say("runs.rates"), across),
            "measures": gr.update(value=further, visible=bool(further)),
        }
