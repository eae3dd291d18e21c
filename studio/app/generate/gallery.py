"""What Generate shows of its pictures: the gallery with captions, and the pair of one seed."""

from collections.abc import Callable

import gradio as gr

from studio.app.generate.request import Drawn
from studio.app.shared.named_inputs import Changes


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
