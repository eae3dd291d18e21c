"""The part of Train that shows the run as YAML, command line and Python."""

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from studio.app.shared.desk import Desk
from studio.app.shared.named_inputs import QUIET, Changes, named
from studio.app.shared.run_report import problems_html
from studio.app.train.draft import Draft, first_settings
from trainers.errors import UserError

_LANGUAGES = {"yaml": "yaml", "command": "shell", "python": "python"}
"""View -> the language whose colours it has."""


class SameRun:
    """The views, and why there are none while the settings are wrong."""

    def __init__(self, desk: Desk, draft: Draft) -> None:
        """Place them, folded away; they follow what stands in the form."""
        self._desk, words = desk, desk.words
        with gr.Accordion(words("train.same_run"), open=False) as folded:
            shown: dict[str, Any] = {"problems": gr.HTML(elem_id="train-problems", padding=True)}
            look: dict[str, Any] = {"interactive": False, "wrap_lines": True, "max_lines": 40}
            with gr.Tabs():
                for name, language in _LANGUAGES.items():
                    with gr.Tab(words(f"train.{name}")):
                        shown[name] = gr.Code(label=words(f"train.{name}"), language=language, **look)
        follow = named(self._view, {"settings": draft.kept}, shown)
        gr.on([draft.kept.change, folded.expand], **follow, trigger_mode="always_last", **QUIET)

    def _view(self, settings: Mapping[str, Any] | None, request: gr.Request) -> Iterator[Changes]:
        try:
            for event in self._desk.engine.run("check_run", {"settings": dict(settings or first_settings())}):
                if event["event"] == "result":
                    yield {"problems": "", **{name: event[name] for name in _LANGUAGES}}
                elif event["event"] == "waiting":
                    yield {"problems": self._desk.words.say(request, "train.checking")}
        except UserError as error:
            yield {"problems": problems_html(str(error)), **dict.fromkeys(_LANGUAGES, "")}
