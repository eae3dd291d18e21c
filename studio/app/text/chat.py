"""The Text tab's chat: answers in columns as they are written, with stop, retry, edit and votes."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from studio.app.blend.tools import device_and_precision
from studio.app.shared.desk import Desk, told
from studio.app.shared.first_opening import first_opening
from studio.app.shared.memory import browser_memory
from studio.app.shared.progress_line import loading_line, problem_line, progress_line
from studio.app.shared.tickets import Tickets
from studio.app.text.columns import chat_html, kept_turns, new_turn, stopped, take_piece
from studio.app.text.form import TextForm
from studio.app.text.votes import count_votes, keep_vote, pair_of, votes_file, votes_to_train_on
from trainers.errors import UserError
from trainers.text_config import POCKET_LANGUAGE, USUAL_BATCH

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_LABELS = ("you", "pace", "end_stop", "end_length", "end_stopped")
_MOST_TURNS = 50
"""Kept by the browser; older ones are forgotten."""
_PAUSE_SECONDS = 0.08
"""Between two pictures of a growing answer, so that a fast model does not flood the page."""


class Chat:
    """The components and what their buttons do."""

    def __init__(self, desk: Desk, form: TextForm) -> None:
        """Place the answers, the message with its buttons, and the votes."""
        words = desk.words
        self._desk, self._form, self._tickets = desk, form, Tickets(desk.engine)
        self.turns = browser_memory([], "studio-text-chat")
        self.first = gr.Markdown(words("text.first"))
        self.view = gr.HTML(elem_id="text-answers")
        self.status = gr.HTML(elem_id="text-status")
        form.place_prompt()
        with gr.Row():
            look: dict[str, Any] = {"size": "md", "min_width": 90}
            self.send = gr.Button(words("text.send"), variant="primary", elem_id="text-send", **look)
            self.stop = gr.Button(words("text.stop"), **look)
            self.retry = gr.Button(words("text.retry"), **look)
            self.edit = gr.Button(words("text.edit"), **look)
            self.new = gr.Button(words("text.new"), **look)
        self._place_votes()
        self._wire()

    def _place_votes(self) -> None:
        words = self._desk.words
        gr.Markdown(words("text.vote"), elem_classes="studio-heading")
        gr.Markdown(words("text.vote_info"))
        with gr.Row(elem_classes="studio-centred"):
            self.better = gr.Dropdown([], value=None, label=words("text.better"), min_width=150)
            self.worse = gr.Dropdown([], value=None, label=words("text.worse"), min_width=150)
            self.keep = gr.Button(words("text.keep_vote"), min_width=120, size="md")
        self.voted = gr.HTML(elem_id="text-voted")
        with gr.Row():
            self.train = gr.Button(words("text.train_on_votes"), size="sm", min_width=150)
            self.file = gr.DownloadButton(words("text.votes_file"), size="sm", min_width=150, visible=False)

    def _wire(self) -> None:
        form, votes = self._form, [self.voted, self.file]
        answering = [self.turns, self.view, self.first, self.status, form.prompt, self.better, self.worse]
        busy: dict[str, Any] = {"concurrency_limit": 16, **_QUIET}
        gr.on([self.send.click, form.prompt.submit], self._send, [self.turns, *form.inputs], answering, **busy)
        self.retry.click(self._retry, [self.turns, *form.inputs], answering, **busy)
        self.stop.click(self._stop, None, self.status, **_QUIET)
        self.edit.click(self._edit, self.turns, answering, **_QUIET)
        self.new.click(self._new, None, answering, **_QUIET)
        self.better.input(_other, [self.turns, self.better, self.worse], self.worse, **_QUIET)
        self.keep.click(self._keep, [self.turns, self.better, self.worse], votes, **_QUIET)
        form.base.change(self._votes, form.base, votes, **_QUIET)
        opened = first_opening()
        opened(self._opened, self.turns, answering, **_QUIET)
        opened(self._votes, form.base, votes, **_QUIET)
        if "train" in self._desk.inboxes:
            self._desk.send(self.train.click, self._for_training, [form.base], to="train")

    def _send(self, kept: Any, request: gr.Request, *given: Any) -> Iterator[list[Any]]:
        values = TextForm.values(given)
        yield from self._answer(kept_turns(kept), values["prompt"] or "", values, request, clear=True)

    def _retry(self, kept: Any, request: gr.Request, *given: Any) -> Iterator[list[Any]]:
        turns = kept_turns(kept)
        if not turns:
            yield self._shown(turns, request, self._line(request, "nothing_yet"))
            return
        yield from self._answer(turns[:-1], turns[-1]["prompt"], TextForm.values(given), request)

    def _answer(
        self, turns: list[Any], prompt: str, values: Mapping[str, Any], request: gr.Request, *, clear: bool = False
    ) -> Iterator[list[Any]]:
        """Answer a prompt in all columns, and show it as it is written."""
        try:
            turn, arguments = self._asked(turns, prompt, values, request)
            yield self._growing(turns, request, self._line(request, "loading", "shared"))
            shown_at, last = 0.0, ""
            for event in self._tickets.run(request, "text_chat", arguments):
                last = event["event"]
                if last == "waiting" and event["ahead"]:
                    said = self._line(request, "waiting", "shared", ahead=event["ahead"])
                    yield self._growing(turns, request, said)
                elif line := loading_line(event):
                    yield self._growing(turns, request, line)
                elif last == "piece":
                    take_piece(turn, event)
                    if time.monotonic() - shown_at > _PAUSE_SECONDS:
                        shown_at = time.monotonic()
                        yield self._growing([*turns, turn], request, self._line(request, "answering"))
        except UserError as error:
            yield self._shown(turns, request, problem_line(str(error)))
            return
        if last == "cancelled":
            kept = [*turns, turn] if stopped(turn) else turns
            yield self._shown(kept, request, self._line(request, "stopped"), prompt="" if kept is not turns else None)
            return
        said = self._line(request, "answered", columns=len(turn["columns"]), seed=turn["seed"])
        yield self._shown([*turns, turn], request, said, prompt="" if clear else None)

    def _asked(
        self, turns: list[Any], prompt: str, values: Mapping[str, Any], request: gr.Request
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        columns = TextForm.columns(values, self._desk.words.say(request, "text.base_column"))
        sampling = TextForm.sampling(values)
        facts = {key: sampling[key] for key in ("base", "seed", "temperature", "plain")}
        turn = new_turn(turns, columns, prompt, values["system"] or "", **facts)
        asked = [{key: column[key] for key in ("weights", "messages")} for column in turn["columns"]]
        return turn, {"columns": asked, **sampling, **device_and_precision(self._desk)}

    def _stop(self, request: gr.Request) -> Any:
        if self._tickets.cancel(request):
            return gr.skip()  # the answer itself says so, as soon as it has ended
        return self._line(request, "nothing_to_stop")

    def _edit(self, kept: Any, request: gr.Request) -> list[Any]:
        turns = kept_turns(kept)
        if not turns:
            return self._shown(turns, request, self._line(request, "nothing_yet"))
        return self._shown(turns[:-1], request, "", prompt=turns[-1]["prompt"])

    def _new(self, request: gr.Request) -> list[Any]:
        self._tickets.cancel(request)
        return self._shown([], request, "")

    def _opened(self, kept: Any, request: gr.Request) -> list[Any]:
        return self._shown(kept_turns(kept), request, "")

    def _keep(self, kept: Any, better: str | None, worse: str | None, request: gr.Request) -> list[Any]:
        turns = kept_turns(kept)
        with told():
            if not turns:
                raise UserError(self._desk.words.say(request, "text.nothing_yet"))
            base = str(turns[-1].get("base") or POCKET_LANGUAGE)
            keep_vote(self._desk.library, base, pair_of(turns[-1], better, worse))
        return self._votes(base, request)

    def _votes(self, base: str | None, request: gr.Request) -> list[Any]:
        base = base or POCKET_LANGUAGE
        count = count_votes(self._desk.library, base)
        said = self._line(request, "votes" if count else "no_votes", count=count, base=base)
        path = str(votes_file(self._desk.library, base)) if count else None
        return [said, gr.update(value=path, visible=bool(count))]

    def _for_training(self, base: str | None) -> Mapping[str, Any]:
        base = base or POCKET_LANGUAGE
        data = votes_to_train_on(self._desk.library, base)
        size = min(USUAL_BATCH, count_votes(self._desk.library, base))
        settings = {"kind": "text", "base": base, "data": str(data), "stage": "dpo", "name": "my-votes", "steps": 50}
        return {"config": {**settings, "batch_size": size}}

    def _line(self, request: gr.Request, key: str, table: str = "text", **values: object) -> str:
        return progress_line(self._desk.words.say(request, f"{table}.{key}", **values))

    def _html(self, turns: list[Any], request: gr.Request, *, busy: bool) -> str:
        say = self._desk.words.say
        labels = {key: say(request, f"text.{key}", tokens="{tokens}", pace="{pace}") for key in _LABELS}
        return chat_html(turns, labels, busy=busy)

    def _growing(self, turns: list[Any], request: gr.Request, line: str) -> list[Any]:
        shown = gr.update(visible=not turns)
        return [gr.skip(), self._html(turns, request, busy=True), shown, line, *[gr.skip()] * 3]

    def _shown(self, turns: list[Any], request: gr.Request, line: str, *, prompt: str | None = None) -> list[Any]:
        turns = turns[-_MOST_TURNS:]
        titles = [column["title"] for column in turns[-1]["columns"]] if turns else []
        choices = gr.update(choices=titles, value=None)
        view = self._html(turns, request, busy=False)
        message = gr.skip() if prompt is None else prompt
        return [turns, view, gr.update(visible=not turns), line, message, choices, choices]


def _other(kept: Any, better: str | None, worse: str | None) -> Any:
    """Return the column that the better one is most likely compared with, unless one has been chosen."""
    turns = kept_turns(kept)
    titles = [column["title"] for column in turns[-1]["columns"]] if turns else []
    others = [title for title in titles if title != better]
    return others[0] if others and worse not in others else gr.skip()
