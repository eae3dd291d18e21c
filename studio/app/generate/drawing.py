"""The part of Generate that draws, and shows the pictures as they come."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import gradio as gr

from studio.app.generate.form import FormValues, GenerateForm
from studio.app.generate.gallery import results
from studio.app.generate.request import Drawn, lacking_triggers
from studio.app.shared.desk import Desk
from studio.app.shared.named_inputs import QUIET, Changes, named
from studio.app.shared.progress_line import loading_line, problem_line, progress_line
from studio.app.shared.prompt_words import prompt_notes_said
from studio.app.shared.tickets import Tickets
from trainers.errors import UserError


class Drawing:
    """The buttons, how it goes, and what has been drawn so far."""

    def __init__(self, desk: Desk, form: GenerateForm) -> None:
        """Place everything, and draw what the form says."""
        self._desk, self._tickets, words = desk, Tickets(desk.engine), desk.words
        with gr.Row():
            draw = gr.Button(words("generate.draw"), variant="primary", min_width=120)
            cancel = gr.Button(words("shared.cancel"), min_width=120)
        self.status = gr.HTML(elem_id="generate-status")
        notes = gr.Textbox(label=words("generate.notes"), interactive=False, visible=False)
        first = gr.Markdown(words("generate.first"))
        self.slider = gr.ImageSlider(
            label=words("generate.before_after"), type="filepath", interactive=False, visible=False, max_height=520
        )
        self.gallery = gr.Gallery(
            label=words("generate.pictures"),
            interactive=False,
            visible=False,
            columns=4,
            height="auto",
            buttons=["download", "fullscreen"],
            elem_id="generate-gallery",
        )
        self.drawn, last_seed = gr.State(Drawn()), gr.State(None)
        status, results_ = {"status": self.status}, {"notes": notes, "first": first, "slider": self.slider}
        shown = {**status, **results_, "gallery": self.gallery, "drawn": self.drawn, "last_seed": last_seed}
        draw.click(**named(self._draw, {"form": form.fields}, shown), concurrency_limit=16, **QUIET)
        cancel.click(**named(self._cancel, {}, status), **QUIET)
        seeds = {name: form.fields[name] for name in ("seed", "random_seed")}
        form.same_seed.click(**named(_same_seed, {"last_seed": last_seed}, seeds), **QUIET)

    def _draw(self, form: FormValues, request: gr.Request) -> Iterator[Changes]:
        drawn, say = Drawn(), partial(self._desk.words.say, request)
        try:
            arguments = form.arguments()
            drawn.notes += self._notes(arguments, say)
            yield _all(drawn, progress_line(say("shared.loading")), say)
            for event in self._tickets.run(request, "generate", arguments):
                drawn.take(event)
                if event["event"] == "cancelled":
                    line = progress_line(say("generate.cancelled", count=len(drawn.pictures)))
                    yield _all(drawn, line, say)
                    return
                if changes := _after(event, drawn, arguments["seed"], say):
                    yield changes
        except UserError as error:
            yield _all(drawn, problem_line(str(error)), say)
            return
        line = progress_line(say("generate.finished", count=len(drawn.pictures), seed=arguments["seed"]))
        yield {**_all(drawn, line, say), "last_seed": arguments["seed"]}

    def _notes(self, arguments: Mapping[str, Any], say: Callable[..., str]) -> list[str]:
        """Return what there is to say of the prompts before anything is drawn."""
        lacking = lacking_triggers(self._desk.library, arguments["weights"], arguments["prompt"])
        said = [say("generate.lacks_trigger", name=name, words=", ".join(words)) for name, words in lacking.items()]
        return said + prompt_notes_said(say, (arguments["prompt"], arguments["negative_prompt"]))

    def _cancel(self, request: gr.Request) -> Changes:
        if self._tickets.cancel(request):
            return {}  # the drawing itself says so, as soon as it has ended
        return {"status": progress_line(self._desk.words.say(request, "generate.nothing_to_cancel"))}


def _same_seed(last_seed: int | None) -> Changes:
    return {"random_seed": False, **({} if last_seed is None else {"seed": last_seed})}


def _all(drawn: Drawn, line: str, say: Callable[..., str]) -> Changes:
    return {"status": line, **results(drawn, say), "drawn": drawn}


def _after(event: Mapping[str, Any], drawn: Drawn, seed: int, say: Callable[..., str]) -> Changes:
    """Return what an event of the job changes on the page; a note waits for the next picture."""
    if event["event"] == "waiting" and event["ahead"]:
        return {"status": progress_line(say("shared.waiting", ahead=event["ahead"]))}
    if event["event"] == "merging_pays":
        drawn.notes.append(say("generate.merging_pays", count=event["count"]))
    elif event["event"] == "progress":
        done, total = event["done"], event["total"]
        return {"status": progress_line(say("generate.drawing", done=done, total=total), done, total)}
    elif line := loading_line(event):
        return {"status": line}
    elif event["event"] == "picture":
        return {**results(drawn, say), "drawn": drawn, "last_seed": seed}
    return {}
