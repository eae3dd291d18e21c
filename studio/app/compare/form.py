"""The form of Compare: what varies, where it stands in the grid, and how everything is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.app.shared.adapter_kinds import image_adapters
from studio.app.shared.named_inputs import Changes
from studio.app.shared.words import Words
from studio.library.library import Library
from trainers.errors import UserError, raise_problems

AXES = (
    "adapter",
    "weight",
    "prompt",
    "seed",
    "method",
    "rank",
    "step",
    "blend",
    "block",
    "base",
    "guidance_scale",
    "num_inference_steps",
    "sampler",
)
MORE_AXES = ("blend", "block", "method", "rank", "step", "guidance_scale", "num_inference_steps", "sampler", "base")
"""Axes with a field of their own among the further ones."""
_PLACES = {"rows": ["prompt", "seed"], "columns": ["adapter", "weight"], "pages": []}
"""Where an axis can stand -> those that stand there first."""


@dataclass(frozen=True)
class FormValues:
    """What stands in the form, besides the further axes; a text that nobody touched may be None."""

    adapters: list[str] | None
    prompts: str | None
    weights: str | None
    seeds: str | None
    rows: list[str] | None
    columns: list[str] | None
    pages: list[str] | None
    with_base: bool
    mixtures: str | None
    subjects: str | None
    num_inference_steps: float
    guidance_scale: float
    negative_prompt: str | None
    base: str | None
    judge: str | None

    def arguments(self, more: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the arguments of the job ``compare``.

        Args:
            more: further axis -> its values as text.

        Raises:
            UserError: a field that is needed is empty.
        """
        texts = {"prompts": self.prompts, "weights": self.weights, "seeds": self.seeds}
        raise_problems(
            "The comparison cannot be drawn:",
            [
                f"the {name} are empty; at least one is needed"
                for name in ("weights", "seeds", "prompts")
                if not (texts[name] or "").strip()
            ],
        )
        if not self.adapters and not (self.mixtures or "").strip():
            raise UserError("No adapter is chosen. Choose at least one, or write a mixture under 'More axes'.")
        return {
            **texts,
            "adapters": list(self.adapters or []),
            "rows": list(self.rows or []),
            "columns": list(self.columns or []),
            "pages": list(self.pages or []),
            "with_base": self.with_base,
            "mixtures": [line.strip() for line in (self.mixtures or "").splitlines() if line.strip()],
            "subjects": [line.strip() for line in (self.subjects or "").rstrip().splitlines()],
            "num_inference_steps": int(self.num_inference_steps),
            "guidance_scale": float(self.guidance_scale),
            "negative_prompt": self.negative_prompt or "",
            "base": (self.base or "").strip() or "pocket",
            "judge": (self.judge or "").strip() or "auto",
            "more": {axis: text for axis, text in more.items() if text and text.strip()},
        }


class CompareForm:
    """Every field: `fields` by the names of `FormValues`, `more` by axis; `inputs` are both for a handler."""

    def __init__(self, library: Library, words: Words) -> None:
        """Place the form."""
        self._library, self._words = library, words
        self.fields: dict[str, Any] = {}
        self.more: dict[str, Any] = {}
        self._place_looks()
        self._place_grid()
        with gr.Accordion(words("compare.more_axes"), open=False):
            self._place_more_axes()
        with gr.Accordion(words("shared.advanced"), open=False):
            self._place_sampling()
        self.inputs = {"form": self.fields, "more": self.more}

    @property
    def kept(self) -> dict[str, Any]:
        """Return all fields under one name each, as the browser keeps them."""
        return {**self.fields, **{f"axis {axis}": box for axis, box in self.more.items()}}

    def _place_looks(self) -> None:
        words, fields = self._words, self.fields
        fields["adapters"] = gr.Dropdown(
            image_adapters(self._library),
            value=[],
            multiselect=True,
            label=words("shared.adapters"),
            info=words("compare.adapters_info"),
            allow_custom_value=True,
        )
        fields["prompts"] = gr.Textbox(
            "a red boat, sea\na purple house, meadow", label=words("compare.prompts"), lines=3
        )

    def _place_grid(self) -> None:
        with gr.Row():
            for name, first in (("weights", "0, 0.5, 1"), ("seeds", "0, 1")):
                self._text(name, first, min_width=140)
        with gr.Row():
            for name, axes in _PLACES.items():
                self.fields[name] = gr.Dropdown(
                    list(AXES),
                    value=axes,
                    multiselect=True,
                    label=self._words(f"compare.{name}"),
                    info=self._words("compare.axes_info"),
                    min_width=200,
                )
        self.fields["with_base"] = gr.Checkbox(True, label=self._words("compare.with_base"))

    def _place_more_axes(self) -> None:
        for name in ("mixtures", "subjects"):
            self._text(name, "", lines=2)
        for axis in MORE_AXES:
            label, info = self._words(f"compare.axis_{axis}"), self._words(f"compare.axis_{axis}_info")
            self.more[axis] = gr.Textbox("", label=label, info=info, lines=2 if axis == "blend" else 1)

    def _place_sampling(self) -> None:
        words, fields = self._words, self.fields
        with gr.Row():
            fields["num_inference_steps"] = gr.Slider(
                1, 150, 20, step=1, label=words("shared.num_inference_steps"), min_width=180
            )
            fields["guidance_scale"] = gr.Slider(
                0, 30, 5, step=0.5, label=words("shared.guidance_scale"), min_width=180
            )
        fields["negative_prompt"] = gr.Textbox("", label=words("compare.negative"))
        with gr.Row():
            fields["base"] = gr.Textbox("pocket", label=words("shared.base"), min_width=140)
            self._text("judge", "auto", min_width=140)

    def _text(self, name: str, first: str, **options: Any) -> None:
        """Place a box for text whose label and help are named as the field is."""
        label, info = self._words(f"compare.{name}"), self._words(f"compare.{name}_info")
        self.fields[name] = gr.Textbox(first, label=label, info=info, **options)

    def refreshed(self) -> Changes:
        """Return a change of `adapters`: the library is looked through again."""
        return {"adapters": gr.update(choices=image_adapters(self._library))}

    def received(self, sent: Mapping[str, Any] | None) -> Changes:
        """Return changes of `adapters` and `prompts` for what another tab sent."""
        sent = sent or {}
        adapters = gr.update(choices=image_adapters(self._library), value=list(sent.get("adapters", [])))
        return {"adapters": adapters, **({"prompts": sent["prompt"]} if sent.get("prompt") else {})}

    def restored(self, values: dict[str, Any]) -> tuple[Changes, Changes]:
        """Return saved values of `kept` without adapters that are gone, and a change of the adapters' choices."""
        names = set(image_adapters(self._library))
        if "adapters" in values:
            chosen = values["adapters"] or []
            left = [name for name in chosen if "{" in name or name.partition("@")[0] in names]
            values = {**values, "adapters": left}
        return values, self.refreshed()
