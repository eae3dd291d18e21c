"""The Text tab's table of how well each column foresees texts that it was not trained on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr

from studio.app.blend.tools import device_and_precision
from studio.app.shared.desk import Desk
from studio.app.shared.progress_line import loading_line, problem_line, progress_line
from studio.app.shared.tables import filled, text_table
from studio.app.shared.tickets import Tickets
from studio.app.text.data import example_texts
from studio.app.text.form import TextForm
from trainers.errors import UserError

_HEADS = ("text.column", "text.value", "text.against", "text.loss", "text.tokens")
_STRANGE = 1_000.0
"""No text that a base was taught to write comes near this perplexity; a reader would look for the mistake."""
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def build_measure(desk: Desk, form: TextForm) -> None:
    """Place the choice of texts, the buttons and the table."""
    words, tickets, examples = desk.words, Tickets(desk.engine), example_texts()
    gr.Markdown(words("text.perplexity_info"))
    with gr.Row(elem_classes="studio-centred"):
        data = gr.Dropdown(
            examples,
            value=next((folder for title, folder in examples if title == "pirate"), None),
            label=words("text.held_out"),
            info=words("text.held_out_info"),
            allow_custom_value=True,
            scale=3,
            min_width=220,
        )
        measure = gr.Button(words("text.measure"), min_width=110, elem_id="text-measure")
        cancel = gr.Button(words("shared.cancel"), min_width=90)
    status = gr.HTML(elem_id="text-measure-status")
    table = text_table(words, "text.measured", *_HEADS, visible=False)

    def look(path: str | None, request: gr.Request, *given: Any) -> Iterator[tuple[Any, Any]]:
        found: list[Mapping[str, Any]] = []
        # what was measured before must not stand beside another choice of texts, or beside an error
        yield progress_line(words.say(request, "shared.loading")), gr.update(value=None, visible=False)
        try:
            if not (path or "").strip():
                raise UserError("No texts are chosen. Choose an example, or write the path of a held-out file.")
            values = TextForm.values(given)
            columns = TextForm.columns(values, words.say(request, "text.base_column"))
            asked: dict[str, Any] = {"data": str(path).strip(), "base": values["base"] or ""}
            asked["columns"] = [{"title": own.title, "weights": dict(own.weights)} for own in columns]
            for event in tickets.run(request, "text_perplexity", {**asked, **device_and_precision(desk)}):
                if event["event"] == "measured":
                    found.append(event)
                    rows = filled(words, request, measured_rows(found, partial(words.say, request)), *_HEADS)
                    yield gr.skip(), gr.update(value=rows, visible=True)
                elif line := loading_line(event):
                    yield line, gr.skip()
                elif event["event"] == "progress":
                    counts = {"done": event["done"], "total": event["total"]}
                    said = words.say(request, "text.measuring", title=event["note"], **counts)
                    yield progress_line(said, **counts), gr.skip()
                elif event["event"] == "cancelled":
                    yield progress_line(words.say(request, "shared.cancelled")), gr.skip()
                    return
        except UserError as error:
            yield problem_line(str(error)), gr.skip()
            return
        lines = [words.say(request, "shared.done"), note_on(found, partial(words.say, request)), *found[0]["notes"]]
        yield progress_line("\n".join(filter(None, lines))), gr.skip()

    def take_back(request: gr.Request) -> Any:
        return gr.skip() if tickets.cancel(request) else progress_line(words.say(request, "text.nothing_to_stop"))

    measure.click(look, [data, *form.inputs], [status, table], concurrency_limit=16, **_QUIET)
    cancel.click(take_back, None, status, **_QUIET)


def measured_rows(found: Sequence[Mapping[str, Any]], say: Callable[..., str]) -> list[list[str]]:
    """Return title, perplexity, its change against the first one, loss and tokens of each column.

    Args:
        say: (key, values) -> a text in the reader's language.
    """
    first = found[0]["perplexity"]
    return [
        [
            str(one["title"]),
            _shown(one["perplexity"]),
            _change(one["perplexity"], first, say) if one is not found[0] else "",
            f"{one['loss']:.4f}",
            f"{one['tokens']:,}",
        ]
        for one in found
    ]


def note_on(found: Sequence[Mapping[str, Any]], say: Callable[..., str]) -> str:
    """Return a sentence on a first perplexity that looks like a mistake; empty where it does not."""
    return say("text.strange", value=_shown(found[0]["perplexity"])) if found[0]["perplexity"] > _STRANGE else ""


def _change(value: float, first: float, say: Callable[..., str]) -> str:
    """Return how a value differs from the first: in percent, or as a factor where percents would all be 100 %."""
    both = {"first": _shown(first), "value": _shown(value)}
    if value < first / 10:
        return say("text.times_lower", factor=f"{first / value:,.0f}", **both)
    if value > first * 10:
        return say("text.times_higher", factor=f"{value / first:,.0f}", **both)
    key = "text.lower" if value < first else "text.higher"
    return say(key, share=f"{abs(value / first - 1):.1%}".replace("%", " %"), **both)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.2f}" if value < 10 else f"{value:.1f}"
