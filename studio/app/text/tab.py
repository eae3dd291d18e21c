"""Text: teach a language model from texts, and hear base, adapters and their blend side by side."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio.app.blend.form import recipe_of
from studio.app.blend.tools import Bench, build_map, build_save, device_and_precision
from studio.app.shared.desk import Desk, told
from studio.app.shared.kept_form import keep_form
from studio.app.shared.progress_line import problem_line
from studio.app.shared.tab_record import Tab
from studio.app.text.chat import Chat
from studio.app.text.data import TextData
from studio.app.text.form import TextForm
from studio.app.text.measure import build_measure
from trainers.errors import UserError
from trainers.text_config import POCKET_LANGUAGE

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def _build(desk: Desk) -> None:
    words = desk.words
    with gr.Tabs(selected="chat") as parts:
        with gr.Tab(words("text.chat"), id="chat"):
            with gr.Row():
                with gr.Column(min_width=320, scale=4):
                    form = TextForm(desk.library, words)
                with gr.Column(min_width=320, scale=7):
                    chat = Chat(desk, form)
            with gr.Accordion(words("text.perplexity"), open=False):
                build_measure(desk, form)
            with gr.Accordion(words("text.blend"), open=False):
                _build_blend(desk, form)
        with gr.Tab(words("text.data_tab"), id="data"):
            TextData(desk, form.base)
    inbox = desk.inbox("text")

    def receive(sent: Mapping[str, Any] | None, request: gr.Request) -> list[Any]:
        updates, lost = form.filled(sent or {})
        line = problem_line(words.say(request, "text.not_in_library", names=", ".join(lost))) if lost else ""
        return [*updates, line, gr.Tabs(selected="chat")]

    inbox.change(receive, inbox, [*form.outputs, chat.status, parts], **_QUIET)
    keep_form("text", form.inputs, [], form.restored)
    _api(desk)


def _build_blend(desk: Desk, form: TextForm) -> None:
    """Place what saves the weights of the form as an adapter, and what measures where two adapters fight."""
    words = desk.words
    bench = Bench(desk, gr.State(), gr.HTML(visible=False))
    build_save(bench, onward=("library",))
    if "blend" in desk.inboxes:
        to_blend = gr.Button(words("text.to_blend"), size="sm", min_width=160)
        desk.send(to_blend.click, _for_blend, form.inputs, to="blend")
    build_map(bench)

    def view(*given: Any) -> dict[str, Any] | None:
        values = TextForm.values(given)
        try:
            recipe = recipe_of({"rows": values["pairs"]})
        except UserError:
            return None  # the button says so when it is pressed
        return {"recipe": recipe, "base": values["base"] or POCKET_LANGUAGE, "prompt": values["prompt"] or ""}

    changes = [component.change for component in (form.rows.box, form.base)]
    gr.on(changes, view, form.inputs, bench.view, trigger_mode="always_last", **_QUIET)
    bench.wire(view, form.inputs, [bench.view])


def _for_blend(*given: Any) -> Mapping[str, Any]:
    return {"adapters": [[name, weight] for name, weight in TextForm.values(given)["pairs"] if name]}


def _api(desk: Desk) -> None:
    """Add the endpoint ``/chat``."""

    def chat(
        messages: list[dict],
        adapters: dict | None = None,
        seed: int = 0,
        temperature: float = 0.0,
        max_new_tokens: int = 256,
        base: str = POCKET_LANGUAGE,
    ) -> str:
        """Answer a chat.

        Args:
            messages: the chat so far, each with role (system, user or assistant) and content; the user's comes last.
            adapters: adapter -> weight, such as {"pirate": 0.7}.

        Returns:
            the answer.
        """
        asked = {"messages": messages, "weights": adapters or {}}
        values = {"seed": seed, "temperature": temperature, "max_new_tokens": max_new_tokens, "base": base}
        with told():
            events = desk.engine.run("text_chat", {"columns": [asked], **values, **device_and_precision(desk)})
            return "".join(event["text"] for event in events if event["event"] == "piece")

    gr.api(chat, api_name="chat")


TAB = Tab("text", 65, _build)
