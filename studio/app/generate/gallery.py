"""What Generate shows of its pictures: the gallery with captions, and the pair of one seed."""

from collections.abc import Callable

import gradio as gr

from studio.app.generate.request import Drawn
from studio.app.shared.named_inputs import Changes

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


def results(drawn: Drawn, say: Callable[..., str]) -> Changes:
    """Return changes of notes, first hint, slider and gallery.

    Args:
        say: (key, values) -> a text in the reader's language.
    """
    of_seed = {seed: [plain for _, other, plain in drawn.pictures if other == seed] for _, seed, _ in drawn.pictures}

    def caption(seed: int, plain: bool) -> str:
        key = "" if len(of_seed[seed]) == 1 else "_base" if plain else "_adapters"
        return say(f"generate.caption{key}", seed=seed)

    pictures = [(path, caption(seed, plain)) for path, seed, plain in drawn.pictures]
    return {
        "notes": gr.update(value="\n".join(drawn.notes), visible=bool(drawn.notes)),
        "first": gr.update(visible=not drawn.pictures),
        "slider": compared(drawn, 0, say).get("slider", gr.update(visible=False)),
        "gallery": gr.update(value=pictures, visible=bool(pictures), selected_index=None),
    }


def compared(drawn: Drawn, number: int, say: Callable[..., str]) -> Changes:
    """Return a change of the slider for the seed of a picture; none where it has no counterpart."""
    pair = drawn.pair(number)
    if pair is None:
        return {}
    label = say("generate.before_after_of", seed=drawn.pictures[number][1])
    return {"slider": gr.update(value=pair, label=label, visible=True)}
