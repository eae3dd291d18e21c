"""Rows of adapter and weight: a list, a slider from −2 to 2, and a box for any number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.web.blend_form import MOST_ROWS
from studio.web.desk import Desk

_LEAST_ROWS = 2
_TO_SLIDER = "(value) => Math.min(2, Math.max(-2, value ?? 0))"
_TO_NUMBER = "(value) => value"


@dataclass(frozen=True)
class Rows:
    """All rows, those that are hidden included; `count` says how many are shown."""

    groups: Sequence[Any]
    adapters: Sequence[Any]
    sliders: Sequence[Any]
    weights: Sequence[Any]
    """The number boxes; they hold the weight that counts."""
    removes: Sequence[Any]
    count: Any
    """State: how many are shown."""

    @property
    def values(self) -> list[Any]:
        """What holds the rows' values: all adapters, then all weights."""
        return [*self.adapters, *self.weights]

    @property
    def outputs(self) -> list[Any]:
        """What `filled` sets."""
        return [self.count, *self.groups, *self.adapters, *self.sliders, *self.weights]


def build_rows(desk: Desk) -> Rows:
    """Place the rows and wire what happens inside them."""
    words = desk.words
    groups, adapters, sliders, weights, removes = [], [], [], [], []
    for number in range(MOST_ROWS):
        with gr.Row(visible=number < _LEAST_ROWS, elem_classes="studio-centred") as group:
            adapters.append(
                gr.Dropdown([], label=words("blend.adapter"), allow_custom_value=True, scale=3, min_width=170)
            )
            sliders.append(
                gr.Slider(
                    -2,
                    2,
                    0.5,
                    step=0.01,
                    label=words("blend.slider"),
                    scale=4,
                    min_width=180,
                    buttons=[],
                    elem_classes="studio-slider-alone",
                )
            )
            weights.append(gr.Number(0.5, label=words("blend.number"), scale=1, min_width=100, step=0.05))
            removes.append(gr.Button(words("blend.remove"), scale=0, min_width=90, size="sm"))
        groups.append(group)
    rows = Rows(groups, adapters, sliders, weights, removes, gr.State(_LEAST_ROWS))
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    for slider, weight in zip(sliders, weights, strict=True):
        slider.input(None, slider, weight, js=_TO_NUMBER, **quiet)
        weight.input(None, weight, slider, js=_TO_SLIDER, **quiet)
    for number, remove in enumerate(removes):

        def take_away(count: int, *values: Any, number: int = number) -> list[Any]:
            kept = pairs(count, values)
            del kept[number]
            return filled(kept)

        remove.click(take_away, [rows.count, *rows.values], rows.outputs, **quiet)
    return rows


def pairs(count: int, values: Sequence[Any]) -> list[list[Any]]:
    """Return adapter and weight of each row that is shown, from the values of `Rows.values`."""
    return [[values[number] or None, values[MOST_ROWS + number]] for number in range(count)]


def filled(content: Sequence[Sequence[Any]], choices: Sequence[str] | None = None) -> list[Any]:
    """Return updates for `Rows.outputs` that show these adapters with their weights.

    Args:
        choices: new choices of the lists of adapters; they stay as they are unless given.
    """
    count = min(MOST_ROWS, max(_LEAST_ROWS, len(content)))
    padded = [*content, *([None, 0.5] for _ in range(MOST_ROWS - len(content)))]
    more: dict[str, Any] = {} if choices is None else {"choices": list(choices)}
    near = [min(2.0, max(-2.0, 0.0 if weight is None else weight)) for _, weight in padded]
    return [
        count,
        *(gr.Row(visible=number < count) for number in range(MOST_ROWS)),
        *(gr.Dropdown(value=name, **more) for name, _ in padded),
        *near,
        *(weight for _, weight in padded),
    ]
