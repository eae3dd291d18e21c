"""The Blend tab's pictures: the blend as its weights move, each parent alone, and the base."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from studio.app.blend.tools import Bench
from studio.app.shared.desk import Desk
from studio.app.shared.newest import Newest
from studio.app.shared.progress_line import problem_line, progress_line
from studio.app.shared.prompt_words import prompt_notes_said
from trainers.errors import UserError

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_PAUSE_SECONDS = 0.15
"""A slider that is still moving asks again within this time, and only then is drawn."""


@dataclass(frozen=True)
class Preview:
    """What shows the pictures."""

    settings: Mapping[str, Any]
    """prompt, picture_seed, steps and guidance."""
    live: Any
    again: Any
    parents: Any
    status: Any
    picture: Any
    beside: Any


def build_preview(desk: Desk) -> Preview:
    """Place the prompt, the buttons and the pictures."""
    words = desk.words
    prompt = gr.Textbox("a red boat, sea", label=words("shared.prompt"), lines=2)
    with gr.Row():
        seed = gr.Number(0, label=words("shared.seed"), precision=0, minimum=0, min_width=90)
        num_inference_steps = gr.Number(
            8, label=words("shared.num_inference_steps"), precision=0, minimum=1, maximum=1000, min_width=90
        )
        guidance_scale = gr.Number(5.0, label=words("shared.guidance_scale"), step=0.5, min_width=90)
    live = gr.Checkbox(True, label=words("blend.live_preview"))
    with gr.Row():
        again = gr.Button(words("blend.again"), size="sm", min_width=110)
        parents = gr.Button(words("blend.parents"), size="sm", min_width=160)
    status = gr.HTML(words("blend.not_drawn"), elem_id="blend-status")
    with gr.Row():
        picture = gr.Image(
            label=words("blend.preview"),
            interactive=False,
            height=300,
            min_width=200,
            type="filepath",
            buttons=["download", "fullscreen"],
            alt_text=words.both("blend.preview"),
        )
        beside = gr.Gallery(
            label=words("blend.beside"),
            height=300,
            columns=2,
            min_width=200,
            object_fit="contain",
            buttons=["download", "fullscreen"],
        )
    settings = {
        "prompt": prompt,
        "picture_seed": seed,
        "num_inference_steps": num_inference_steps,
        "guidance_scale": guidance_scale,
    }
    return Preview(settings, live, again, parents, status, picture, beside)


def view_key(view: Mapping[str, Any] | None) -> str:
    """Return what tells one wish of a page from another."""
    return json.dumps(view, sort_keys=True)


def wire_preview(bench: Bench, preview: Preview, newest: Newest, opened: Any) -> None:
    """Draw what the form says; a newer wish ends an older drawing between two steps.

    Args:
        opened: State, whether the tab has been opened; nothing is drawn before.
    """
    words, view = bench.desk.words, bench.view

    def drawing(view: dict[str, Any], request: gr.Request) -> Iterator[Any]:
        page, key = request.session_hash or "", view_key(view)
        try:
            for event in bench.run("blend_preview", {**view, "seed": view["picture_seed"]}):
                if newest.is_stale(page, key):
                    return
                if event["event"] == "picture":
                    formula = " + ".join(f"{i.get('weight', 1):g}·{i['adapter']}" for i in view["recipe"]["inputs"])
                    said = [words.say(request, "blend.drawn", formula=formula)]
                    said += prompt_notes_said(partial(words.say, request), [view["prompt"]])
                    yield event["path"], progress_line("\n".join(said))
                elif line := bench.said(event, request):
                    yield gr.skip(), line
        except UserError as error:
            if not newest.is_stale(page, key):
                yield None, problem_line(str(error))

    def draw(view: dict[str, Any] | None, live: bool, opened: bool, request: gr.Request) -> Iterator[Any]:
        yield gr.skip(), gr.skip()
        time.sleep(_PAUSE_SECONDS)
        if view and live and opened and not newest.is_stale(request.session_hash or "", view_key(view)):
            yield from drawing(view, request)

    def draw_now(view: dict[str, Any] | None, request: gr.Request) -> Iterator[Any]:
        yield gr.skip(), gr.skip()
        if view:
            yield from drawing(view, request)

    def draw_parents(view: dict[str, Any] | None, request: gr.Request) -> Iterator[Any]:
        pictures: list[tuple[str, str]] = []
        yield gr.skip(), gr.skip()
        wanted = {**view, "seed": view["picture_seed"], "parents": True} if view else {}
        try:
            for event in bench.run("blend_preview", wanted) if view else ():
                if event["event"] == "picture":
                    base = event["label"] == "base"
                    title = words.say(request, "blend.base_picture") if base else event["label"]
                    pictures.append((event["path"], title))
                    yield list(pictures), ""
                elif line := bench.said(event, request):
                    yield gr.skip(), line
        except UserError as error:
            yield gr.skip(), problem_line(str(error))

    shown = [preview.picture, preview.status]
    gr.on([view.change, preview.live.input, opened.change], draw, [view, preview.live, opened], shown,
          trigger_mode="always_last", concurrency_limit=16, **_QUIET)  # fmt: skip
    preview.again.click(draw_now, view, shown, **_QUIET)
    preview.parents.click(draw_parents, view, [preview.beside, preview.status], **_QUIET)
