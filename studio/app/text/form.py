"""The form of the Text tab's chat: base, adapters with weights, columns and sampling."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from studio.app.shared.adapter_kinds import text_adapters
from studio.app.shared.weight_rows import WeightRows, pairs
from studio.app.shared.words import Words
from studio.app.text.columns import BASE, SHOWN, Column, columns_of
from studio.library.library import Library
from trainers.seeds import drawn_seed
from trainers.text_config import POCKET_LANGUAGE

_FIELDS = (
    *("prompt", "base", "shown", "seed", "new_seed", "temperature", "top_p", "max_new_tokens", "system", "stops"),
    "plain",
)
_SEEDS = 2**31


class TextForm:
    """The components, and what their values ask for."""

    def __init__(self, library: Library, words: Words) -> None:
        """Place everything but the prompt, which stands under the answers: see `place_prompt`."""
        self._library, self._words = library, words
        self.base = gr.Dropdown(
            [POCKET_LANGUAGE],
            value=POCKET_LANGUAGE,
            label=words("shared.base"),
            info=words("text.base_info"),
            allow_custom_value=True,
        )
        self.rows = WeightRows(library, names_in=text_adapters, none="text.no_adapters")
        self.shown = gr.CheckboxGroup(
            [(words(f"text.show_{name}"), name) for name in SHOWN],
            value=list(SHOWN),
            label=words("text.columns"),
            info=words("text.columns_info"),
        )
        with gr.Row():
            self.seed = gr.Number(0, label=words("shared.seed"), precision=0, minimum=-1, min_width=110)
            self.new_seed = gr.Checkbox(False, label=words("text.new_seed"), min_width=140)
        with gr.Row():
            self.temperature = gr.Number(
                0.0, label=words("text.temperature"), info=words("text.temperature_info"), step=0.1, min_width=130
            )
            self.top_p = gr.Number(
                1.0, label=words("text.top_p"), info=words("text.top_p_info"), step=0.05, min_width=130
            )
            self.max_new_tokens = gr.Number(128, label=words("text.max_new_tokens"), precision=0, min_width=130)
        with gr.Accordion(words("shared.advanced"), open=False):
            self.system = gr.Textbox("", label=words("text.system"), lines=2)
            self.stops = gr.Textbox("", label=words("text.stops"), lines=2)
            self.plain = gr.Checkbox(False, label=words("text.plain"))

    def place_prompt(self) -> None:
        """Place the box for the message."""
        self.prompt = gr.Textbox(
            "Tell me a story.", label=self._words("text.prompt"), lines=1, max_lines=8, elem_id="text-prompt"
        )

    @property
    def inputs(self) -> list[Any]:
        """The fields in the order of `_FIELDS`, then the rows."""
        return [*(getattr(self, name) for name in _FIELDS), self.rows.box]

    @property
    def outputs(self) -> list[Any]:
        """What `filled` answers for."""
        return [self.prompt, self.base, self.rows.box]

    @staticmethod
    def values(given: Sequence[Any]) -> dict[str, Any]:
        """Return the values of `inputs` by name, with the rows as `pairs`."""
        *fields, rows = given
        return {**dict(zip(_FIELDS, fields, strict=True)), "pairs": pairs(rows)}

    @staticmethod
    def columns(values: Mapping[str, Any], base_title: str = BASE) -> list[Column]:
        """Return the columns that the values ask for.

        Raises:
            UserError: see `studio.app.text.columns.columns_of`.
        """
        return columns_of(values["pairs"], values["shown"] or (), base_title)

    @staticmethod
    def sampling(values: Mapping[str, Any]) -> dict[str, Any]:
        """Return how is written: arguments of the job `text_chat`, with a new seed where one is wished for."""
        return {
            "base": str(values["base"] or POCKET_LANGUAGE),
            "seed": secrets.randbelow(_SEEDS) if values["new_seed"] else drawn_seed(int(values["seed"] or 0)),
            "temperature": values["temperature"] or 0.0,
            "top_p": 1.0 if values["top_p"] is None else values["top_p"],
            "max_new_tokens": values["max_new_tokens"] or 0,
            "stop": [line for line in str(values["stops"] or "").splitlines() if line],
            "plain": bool(values["plain"]),
        }

    def filled(self, sent: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
        """Return updates of `outputs` for what another tab sent, and the adapters that cannot be chosen."""
        fixed = [sent.get("prompt") or gr.skip(), sent.get("base") or gr.skip()]
        if "adapters" not in sent:
            return [*fixed, gr.skip()], []
        rows, lost = self.rows.fitting([(str(name), float(weight)) for name, weight in sent["adapters"]])
        return [*fixed, self.rows.laid_out(rows)], lost

    def restored(self, values: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return saved values of `inputs` without adapters that are gone; nothing has to change along with them."""
        if not values:
            return [], []
        *fields, rows = values
        kept = [(name, 1.0 if weight is None else weight) for name, weight in pairs(rows)]
        return [*fields, self.rows.laid_out(self.rows.fitting(kept)[0])], []
