"""The part of Runs that shows what came of the sample prompts: pictures or answers, of one step or of all."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr

from studio.app.runs.answers import answers_html
from studio.app.runs.panel import MOST_STEPS, nearest
from studio.app.runs.parts import Look
from studio.app.shared.desk import Desk
from studio.app.shared.named_inputs import Changes, Fields

_ALL_STEPS = -1


class Samples:
    """A `Part`."""

    def __init__(self, desk: Desk) -> None:
        """Place it."""
        words = desk.words
        self.place = gr.Slider(0, 1, 0, step=1, label=words("runs.sample_place"), elem_id="runs-place")
        self.every = gr.Checkbox(False, label=words("runs.every_step"))
        gallery = gr.Gallery(
            label=words("runs.samples"), columns=2, height=420, object_fit="contain", interactive=False
        )
        answers = gr.HTML(visible=False, elem_id="runs-answers")
        self.outputs: Fields = {"place": self.place, "gallery": gallery, "answers": answers}

    def depends_on(self, look: Look) -> Any:
        """Return which samples there are, and which are shown."""
        return look.name, list(look.steps), look.step, look.choice.every, look.row.works if look.row else False

    def changes(self, look: Look) -> Changes:
        """Return the samples, and how far the slider goes."""

        def caption(step: int, prompt: str) -> str:
            return look.say("runs.caption", step=step, prompt=prompt)

        every, steps = look.choice.every, look.steps
        shown = _ALL_STEPS if every else look.step
        pictures = look.panel.gallery(shown, caption) if look.panel else []
        texts = look.panel.texts(shown) if look.panel else []
        by_step = max(1, len(pictures) // max(1, min(MOST_STEPS, len(steps))))
        columns = by_step if every else min(4, max(2, len(pictures) // 2))
        title = look.say("runs.at_steps") if every else look.say("runs.at_step", step=look.step)
        answers = answers_html(texts, partial(look.say, "runs.answers"), partial(look.say, "runs.answer_at"))
        return {
            "place": gr.update(maximum=max([1, *steps]), value=look.step, interactive=len(steps) > 1),
            "gallery": gr.update(value=pictures, label=title, columns=columns, visible=bool(pictures) or not texts),
            "answers": gr.update(value=answers, visible=bool(texts)),
        }


def look_back(place: float, name: str | None, seen: Mapping[str, Any]) -> Changes:
    """Return as `looked_back` the run whose older samples are shown now; none where the newest are."""
    steps = seen["steps"]
    return {"looked_back": "" if nearest(steps, place) == nearest(steps, math.inf) else name}
