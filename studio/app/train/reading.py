"""The list of methods is read once after an installation; until then the form has no parts, and this says why."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.context import Context

from studio.app.shared.desk import Desk, told
from studio.app.shared.named_inputs import QUIET, Changes, named
from studio.app.train.draft import Draft, known
from studio.operations.catalogue import cached_catalogue


class ReadingMethods:
    """The sentence, and the reading."""

    def __init__(self, desk: Desk, draft: Draft) -> None:
        """Place the sentence; once the list is read, the form is placed anew."""
        self._desk, self._draft = desk, draft
        read_before = cached_catalogue(desk.library) is not None
        sentence = gr.Markdown(desk.words("train.reading"), visible=not read_before)
        page = Context.root_block
        if read_before or page is None:
            return
        read = gr.State(0)
        page.load(**named(self._read, {}, {"read": read, "sentence": sentence}), **QUIET)
        read.change(**named(self._place_anew, {"kept": draft.kept}, {"shown": draft.shown}), **QUIET)

    def _read(self) -> Iterator[Changes]:
        if cached_catalogue(self._desk.library) is None:
            yield {"sentence": gr.Markdown(visible=True)}
            with told():
                self._desk.engine.result("catalogue", {})
            yield {"read": self._draft.number(), "sentence": gr.Markdown(visible=False)}
        else:
            yield {"sentence": gr.Markdown(visible=False)}

    def _place_anew(self, kept: Any) -> Changes:
        return {"shown": self._draft.placed(known(kept))["shown"]}
