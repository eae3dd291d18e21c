"""Rows of an adapter and its weight: a dropdown, and a slider and a number box that follow each other."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from studio.library import Library
from studio.web.words import Words

TEXTS = {
    "generate.row_adapter": ("Adapter", "轉接器"),
    "generate.row_weight": ("Weight", "權重"),
    "generate.row_any_weight": ("Exact weight", "精確權重"),
    "generate.row_remove": ("Remove", "移除"),
    "generate.row_add": ("Add an adapter", "新增轉接器"),
    "generate.row_none": (
        "The library has no adapters yet. Train one in the tab Train; until then the base alone is drawn.",
        "資料庫裡還沒有轉接器。請先到「訓練」分頁訓練一個；在那之前只會以基礎模型繪製。",
    ),
}
_MOST = 8
_REACH = 2.0
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


class AdapterRows:
    """The rows; `inputs` are the dropdowns and then the number boxes, which hold the weights."""

    def __init__(
        self,
        library: Library,
        words: Words,
        *,
        names_in: Callable[[Library], list[str]] = Library.names,
        none: str = "generate.row_none",
    ) -> None:
        """Place the rows.

        Args:
            names_in: gives the adapters that can be chosen.
            none: key of what is said where there are none.
        """
        self._names = partial(names_in, library)
        names = self._names()
        self.empty = gr.Markdown(words(none), visible=not names)
        self.shown = gr.State(1)
        self.groups: list[gr.Row] = []
        self.names: list[gr.Dropdown] = []
        self.sliders: list[gr.Slider] = []
        self.weights: list[gr.Number] = []
        removes: list[gr.Button] = []
        for number in range(_MOST):
            with gr.Row(visible=number == 0) as group:
                self.names.append(
                    gr.Dropdown(
                        names,
                        value=None,
                        label=words("generate.row_adapter"),
                        allow_custom_value=True,
                        min_width=150,
                        scale=3,
                    )
                )
                self.sliders.append(
                    gr.Slider(
                        -_REACH,
                        _REACH,
                        1.0,
                        step=0.05,
                        label=words("generate.row_weight"),
                        min_width=160,
                        scale=3,
                        buttons=[],
                        elem_classes="studio-slider-alone",
                    )
                )
                self.weights.append(
                    gr.Number(1.0, label=words("generate.row_any_weight"), step=0.05, min_width=110, scale=1)
                )
                removes.append(gr.Button(words("generate.row_remove"), size="sm", min_width=80, scale=0))
            self.groups.append(group)
        self.add = gr.Button(words("generate.row_add"), size="sm")
        for slider, weight in zip(self.sliders, self.weights, strict=True):
            slider.input(None, [slider], [weight], js="value => [value]", **_QUIET)
            follow = f"value => [Math.max(-{_REACH}, Math.min({_REACH}, value ?? 0))]"
            weight.change(None, [weight], [slider], js=follow, **_QUIET)
        everything = [self.shown, *self.inputs]
        self.add.click(self._added, everything, self.outputs, **_QUIET)
        for number, button in enumerate(removes):
            button.click(self._remover(number), everything, self.outputs, **_QUIET)

    @property
    def inputs(self) -> list[Any]:
        """Dropdowns, then number boxes."""
        return [*self.names, *self.weights]

    @property
    def outputs(self) -> list[Any]:
        """What `laid_out` answers for."""
        return [self.shown, *self.groups, *self.names, *self.weights]

    @staticmethod
    def pairs(values: Sequence[Any]) -> list[tuple[str | None, float | None]]:
        """Return (name, weight) of every row, from the values of `inputs`."""
        return list(zip(values[:_MOST], values[_MOST:], strict=True))

    def laid_out(self, pairs: Sequence[tuple[str | None, float | None]], shown: int | None = None) -> list[Any]:
        """Return updates of `outputs` that show these rows, from the top."""
        pairs = list(pairs)[:_MOST]
        count = max(1, min(_MOST, shown if shown is not None else len(pairs)))
        filled = [*pairs, *[(None, 1.0)] * (_MOST - len(pairs))]
        visible = [gr.update(visible=number < count) for number in range(_MOST)]
        return [count, *visible, *(name for name, _ in filled), *(weight for _, weight in filled)]

    def fitting(self, pairs: Sequence[tuple[str, float]]) -> tuple[list[tuple[str, float]], list[str]]:
        """Return the rows that can be shown, and the names that are not in the library or find no row."""
        names = set(self._names())
        known = [(name, weight) for name, weight in pairs if name.partition("@")[0] in names]
        left = [name for name, _ in pairs if name.partition("@")[0] not in names]
        return known[:_MOST], [*left, *(name for name, _ in known[_MOST:])]

    def refreshed(self) -> list[Any]:
        """Return updates of `names` and `empty` with what the library holds now."""
        names = self._names()
        return [*(gr.update(choices=names) for _ in range(_MOST)), gr.update(visible=not names)]

    def _added(self, shown: int, *values: Any) -> list[Any]:
        return self.laid_out(self.pairs(values), shown + 1)

    def _remover(self, number: int) -> Any:
        def remove(shown: int, *values: Any) -> list[Any]:
            pairs = self.pairs(values)
            return self.laid_out(pairs[:number] + pairs[number + 1 :], shown - 1)

        return remove
