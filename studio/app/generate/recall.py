"""The part of Generate that fills its form: from a picture's file, a chosen picture, or what another tab sends."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from pipelines.image_settings import checked_settings
from studio.app.generate.chosen import ChosenImage
from studio.app.generate.form import GenerateForm
from studio.app.generate.request import settings_of
from studio.app.shared.desk import Desk, told
from studio.app.shared.named_inputs import QUIET, Changes, named
from trainers.errors import UserError


class Recall:
    """The button for a picture's file, and the box that says what was used."""

    def __init__(self, desk: Desk, form: GenerateForm) -> None:
        """Place both."""
        self._desk, self._form, words = desk, form, desk.words
        self._upload = gr.UploadButton(
            words("generate.from_picture"), file_types=[".png", ".jpg", ".jpeg", ".webp"], size="sm"
        )
        self._said = gr.Textbox(label=words("generate.recall"), interactive=False, visible=False)

    def listen(self, chosen: ChosenImage) -> None:
        """Fill the form on everything that brings settings."""
        filled = {**self._form.fields, "said": self._said}
        progress = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": self._said}
        self._upload.upload(**named(self._read, {"file": self._upload}, filled), **progress)
        chosen.use.click(**named(self._use, {"path": chosen.path}, filled), **QUIET)
        inbox = self._desk.inbox("generate")
        inbox.change(**named(self._receive, {"sent": inbox}, filled), **QUIET)

    def _read(self, file: str, request: gr.Request) -> Changes:
        with told():
            found = self._desk.engine.result("read_image", {"path": str(file)})
            return self._filled(request, found["values"], found["unused"])

    def _use(self, path: str, request: gr.Request) -> Changes:
        with told():
            if not path:
                raise UserError("No picture is chosen. Choose one in the pictures above or in today's pictures.")
            found = checked_settings(settings_of(self._desk.library, path))
            return self._filled(request, found.values, found.unused)

    def _receive(self, sent: Mapping[str, Any] | None, request: gr.Request) -> Changes:
        values = {key: value for key, value in (sent or {}).items() if key != "number" and value is not None}
        return self._filled(request, values, ())

    def _filled(self, request: gr.Request, values: Mapping[str, Any], unused: Sequence[str]) -> Changes:
        """Return changes of the form, and of the box that says what was used."""
        changes, left = self._form.filled(values)
        used = ", ".join(key.removesuffix("_px").replace("_", " ") for key in values)
        lines = [self._desk.words.say(request, "generate.recalled", used=used)]
        if left or unused:
            lines.append(self._desk.words.say(request, "generate.not_used", what="; ".join([*left, *unused])))
        return {**changes, "said": gr.update(value="\n".join(lines), visible=True)}
