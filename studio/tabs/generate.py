"""Generate: pictures from a prompt, with any number of weighted adapters, beside the base."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from studio.tabs._tab import Tab
from studio.web.desk import Desk, told

TEXTS = {
    "generate.title": ("Generate", "生成"),
    "generate.draw": ("Draw", "繪製"),
    "generate.pictures": ("Pictures", "圖片"),
}


def _build(desk: Desk) -> None:
    words = desk.words
    prompt = gr.Textbox(label=words("shared.prompt"), value="a red boat, sea", lines=2)
    steps = gr.Slider(1, 50, 20, step=1, label=words("shared.steps"))
    draw = gr.Button(words("generate.draw"), variant="primary")
    status = gr.Markdown()
    pictures = gr.Gallery(label=words("generate.pictures"))

    def run(prompt: str, steps: int, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        found = []
        with told():
            for event in desk.engine.run("generate", {"prompt": prompt, "steps": steps}):
                if event["event"] == "picture":
                    found.append(event["path"])
                    yield "", found
                elif event["event"] == "progress":
                    yield f"{event['done']}/{event['total']}", gr.skip()
                elif event["event"] == "waiting":
                    yield words.say(request, "shared.waiting", ahead=event["ahead"]), gr.skip()

    draw.click(run, [prompt, steps], [status, pictures], api_name="generate")


TAB = Tab("generate", 10, _build, TEXTS)
