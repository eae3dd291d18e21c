"""The part of Generate that is about finished pictures: the chosen one with its settings, and today's."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr

from studio.app.generate.drawing import Drawing
from studio.app.generate.gallery import compared
from studio.app.generate.request import Drawn, images_of_today, settings_lines, settings_of
from studio.app.shared.desk import Desk, told
from studio.app.shared.named_inputs import QUIET, Changes, named


class ChosenImage:
    """The settings of a picture that was chosen, and the button that uses them again."""

    def __init__(self, desk: Desk, drawing: Drawing) -> None:
        """Place it, and follow the gallery of what was drawn."""
        self._desk, words = desk, desk.words
        self.path = gr.State("")
        details = gr.Textbox(
            label=words("generate.details"),
            placeholder=words("generate.choose_picture"),
            interactive=False,
            lines=3,
        )
        self.use = gr.Button(words("generate.use"), size="sm", interactive=False)
        self.shown: Mapping[str, Any] = {"path": self.path, "details": details, "use": self.use}
        shown = {**self.shown, "slider": drawing.slider}
        drawing.gallery.select(**named(self._choose, {"drawn": drawing.drawn}, shown), **QUIET)

    def changes(self, path: str) -> Changes:
        """Return changes of `shown` for a picture.

        Raises:
            UserError: it is gone, or carries no settings.
        """
        settings = settings_lines(settings_of(self._desk.library, path))
        return {"path": path, "details": settings, "use": gr.update(interactive=True)}

    def _choose(self, drawn: Drawn, request: gr.Request, event: gr.SelectData) -> Changes:
        with told():
            pair = compared(drawn, event.index, partial(self._desk.words.say, request))
            return {**self.changes(drawn.paths()[event.index]), **pair}


class TodaysImages:
    """The pictures of today, folded away."""

    def __init__(self, desk: Desk, chosen: ChosenImage) -> None:
        """Place them; one that is selected becomes the chosen picture."""
        self._desk, self._chosen, words = desk, chosen, desk.words
        with gr.Accordion(words("generate.today"), open=False) as today:
            none = gr.Markdown(words("generate.none_today"))
            history = gr.Gallery(
                label=words("generate.today"),
                interactive=False,
                visible=False,
                columns=6,
                buttons=["download", "fullscreen"],
            )
            refresh = gr.Button(words("shared.refresh"), size="sm")
        listed = gr.State([])
        for event in (today.expand, refresh.click):
            event(**named(self._list, {}, {"history": history, "none": none, "listed": listed}), **QUIET)
        history.select(**named(self._choose, {"listed": listed}, chosen.shown), **QUIET)

    def _list(self) -> Changes:
        paths = images_of_today(self._desk.library)
        history = gr.update(value=paths, visible=bool(paths))
        return {"history": history, "none": gr.update(visible=not paths), "listed": paths}

    def _choose(self, listed: list[str], event: gr.SelectData) -> Changes:
        with told():
            return self._chosen.changes(listed[event.index])
