"""The part of Compare that works out the cost of a grid, and draws it."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import gradio as gr

from studio.app.compare.drawn import DrawnGrids
from studio.app.compare.form import CompareForm, FormValues
from studio.app.shared.desk import Desk, told
from studio.app.shared.named_inputs import QUIET, Changes, named
from studio.app.shared.progress_line import loading_line, problem_line, progress_line
from studio.app.shared.prompt_words import prompt_notes_said
from studio.app.shared.tickets import Tickets
from studio.operations.stored_comparisons import span
from trainers.errors import UserError

Say = Callable[..., str]
"""(key, values) -> a text in the reader's language."""


class Work:
    """The buttons, and how it goes."""

    def __init__(self, desk: Desk) -> None:
        """Place everything."""
        self._desk, self._tickets, words = desk, Tickets(desk.engine), desk.words
        with gr.Row():
            self._cost = gr.Button(words("compare.cost"), variant="primary", min_width=120)
            self._start = gr.Button(words("compare.start"), variant="primary", min_width=120, interactive=False)
            self._cancel = gr.Button(words("shared.cancel"), min_width=120)
        self._status = gr.HTML(elem_id="compare-status")
        self._notes = gr.Textbox(label=words("compare.notes"), interactive=False, visible=False)
        self._costed = gr.State(None)

    def listen(self, form: CompareForm, grids: DrawnGrids) -> None:
        """Work on what the form says, and show what has been drawn among the other grids."""
        self._grids = grids
        shown = {"status": self._status, "notes": self._notes, "costed": self._costed, "start": self._start}
        shown |= grids.choice
        self._cost.click(**named(self.cost, form.inputs, shown), concurrency_limit=16, **QUIET)
        started = {"costed": self._costed, **form.inputs}
        self._start.click(**named(self.start, started, shown), concurrency_limit=16, **QUIET)
        self._cancel.click(**named(self.cancel, {}, {"status": self._status}), **QUIET)

    def cost(self, form: FormValues, more: dict[str, str | None], request: gr.Request) -> Iterator[Changes]:
        """Say what the grid would cost; then it can be started."""
        yield from self._work(partial(form.arguments, more), self._say(request), request, cost_only=True)

    def start(
        self,
        costed: Mapping[str, Any] | None,
        form: FormValues,
        more: dict[str, str | None],
        request: gr.Request,
    ) -> Iterator[Changes]:
        """Draw what the cost was worked out for; changed settings get their cost first."""
        with told():
            same = form.arguments(more) == costed
        said = "" if same else "compare.changed"
        yield from self._work(partial(form.arguments, more), self._say(request), request, cost_only=not same, said=said)

    def cancel(self, request: gr.Request) -> Changes:
        """Take back what this page waits for."""
        if self._tickets.cancel(request):
            return {}  # the work itself says so, as soon as it has ended
        return {"status": progress_line(self._say(request)("compare.nothing_to_cancel"))}

    def _say(self, request: gr.Request) -> Say:
        return partial(self._desk.words.say, request)

    def _work(
        self,
        arguments_of: Callable[[], dict[str, Any]],
        say: Say,
        request: gr.Request,
        *,
        cost_only: bool,
        said: str = "",
    ) -> Iterator[Changes]:
        notes: list[str] = [say(said)] if said else []
        try:
            arguments = arguments_of()
            asked = (*arguments["prompts"].splitlines(), arguments["negative_prompt"])
            notes += prompt_notes_said(say, asked)
            yield {"status": progress_line(say("shared.loading")), **_noted(notes)}
            for event in self._tickets.run(request, "compare", {**arguments, "cost_only": cost_only}):
                if line := loading_line(event) or _line(event, say, cost_only=cost_only):
                    yield {"status": line}
                elif event["event"] == "said":
                    notes.append(event["text"])
                    yield _noted(notes)
                elif event["event"] == "cost":
                    costed = {"costed": arguments, "start": gr.update(interactive=True)}
                    yield {"status": progress_line(_cost_sentence(event, say)), **_noted(notes), **costed}
                elif event["event"] == "result":
                    finished = progress_line(say("shared.done"))
                    yield {"status": finished, **_noted(notes), **self._grids.chosen(event["name"])}
        except UserError as error:
            yield {"status": problem_line(str(error)), **_noted(notes)}


def _noted(notes: list[str]) -> Changes:
    return {"notes": gr.update(value="\n".join(notes), visible=bool(notes))}


def _line(event: Mapping[str, Any], say: Say, *, cost_only: bool) -> str:
    """Return how it goes, for an event that says so."""
    if event["event"] == "waiting" and event["ahead"]:
        return progress_line(say("shared.waiting", ahead=event["ahead"]))
    if event["event"] == "progress":
        done, total = event["done"], event["total"]
        return progress_line(say("compare.working", done=done, total=total), done, total)
    if event["event"] == "started" and cost_only:
        return progress_line(say("compare.measuring"))
    return progress_line(say("compare.cancelled")) if event["event"] == "cancelled" else ""


def _cost_sentence(cost: Mapping[str, Any], say: Say) -> str:
    counts = {key: cost[key] for key in ("pictures", "drawn", "evaluations")}
    left = cost["pictures"] - cost["drawn"]
    return say("compare.cost_is", **counts, left=left, time=span(cost["seconds"]))
