"""What Generate shows of its pictures: the gallery with captions, the pair of one seed, and a chosen picture."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from studio.app.generate.request import Drawn, settings_lines, settings_of
from studio.app.shared.desk import Desk, told

TEXTS = {
    "generate.pictures": (
        "Pictures; choose one to see its settings, and its seed in the comparison",
        "圖片；點選以查看設定，並在前後對照中顯示該種子",
    ),
    "generate.before_after": (
        "Before and after: left the base, right with the adapters",
        "前後對照：左為基礎模型，右為套用轉接器",
    ),
    "generate.before_after_of": (
        "Before and after at seed {seed}: left the base, right with the adapters",
        "種子 {seed} 的前後對照：左為基礎模型，右為套用轉接器",
    ),
    "generate.caption": ("seed {seed}", "種子 {seed}"),
    "generate.caption_base": ("seed {seed}, base", "種子 {seed}，基礎模型"),
    "generate.caption_adapters": ("seed {seed}, with adapters", "種子 {seed}，套用轉接器"),
}


def results(drawn: Drawn, say: Callable[..., str]) -> list[Any]:
    """Return updates of notes, first hint, slider and gallery.

    Args:
        say: (key, values) -> a text in the reader's language.
    """
    of_seed = {seed: [plain for _, other, plain in drawn.pictures if other == seed] for _, seed, _ in drawn.pictures}

    def caption(seed: int, plain: bool) -> str:
        key = "" if len(of_seed[seed]) == 1 else "_base" if plain else "_adapters"
        return say(f"generate.caption{key}", seed=seed)

    pictures = [(path, caption(seed, plain)) for path, seed, plain in drawn.pictures]
    return [
        gr.update(value="\n".join(drawn.notes), visible=bool(drawn.notes)),
        gr.update(visible=not drawn.pictures),
        _compared(drawn, 0, say) or gr.update(visible=False),
        gr.update(value=pictures, visible=bool(pictures), selected_index=None),
    ]


def _compared(drawn: Drawn, number: int, say: Callable[..., str]) -> Any:
    """Return an update of the slider for the seed of a picture; nothing where it has no counterpart."""
    pair = drawn.pair(number)
    if pair is None:
        return None
    label = say("generate.before_after_of", seed=drawn.pictures[number][1])
    return gr.update(value=pair, label=label, visible=True)


def drawn_chosen(desk: Desk) -> Any:
    """Return what shows the picture of the gallery that was chosen: path, settings, button and pair."""

    def choose(drawn: Drawn, request: gr.Request, event: gr.SelectData) -> list[Any]:
        with told():
            path = drawn.paths()[event.index]
            compared = _compared(drawn, event.index, partial(desk.words.say, request)) or gr.skip()
            return [path, settings_lines(settings_of(desk.library, path)), gr.update(interactive=True), compared]

    return choose


def listed_chosen(desk: Desk) -> Any:
    """Return what shows the picture of today that was chosen: path, settings and button."""

    def choose(listed: list[str], event: gr.SelectData) -> list[Any]:
        with told():
            path = listed[event.index]
            return [path, settings_lines(settings_of(desk.library, path)), gr.update(interactive=True)]

    return choose
