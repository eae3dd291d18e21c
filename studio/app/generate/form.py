"""The form of Generate: its components, what they ask for, and how it is filled from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.samplers import AUTO, sampler_names
from studio.app.generate.request import Wanted, triggers, with_triggers
from studio.app.shared.adapter_kinds import image_adapters
from studio.app.shared.named_inputs import QUIET, Changes, named
from studio.app.shared.weight_rows import WeightRows, pairs
from studio.app.shared.words import Words
from studio.library.library import Library

_LIMITS = {"num_inference_steps": 150, "guidance_scale": 30}
"""The ends of the sliders."""
_FROM_ELSEWHERE = (
    "prompt",
    "negative_prompt",
    "seed",
    "num_inference_steps",
    "guidance_scale",
    "sampler",
    "width_px",
    "height_px",
    "base",
)
"""Fields that a picture's settings or another tab can fill as they are."""


@dataclass(frozen=True)
class FormValues(Wanted):
    """What stands in the form; its adapters are given as the value of the rows, and kept as pairs."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "adapters", pairs(self.adapters))


class GenerateForm:
    """Every field, in `fields` by the names of `FormValues`."""

    def __init__(self, library: Library, words: Words) -> None:
        """Place the form."""
        self._library, self._words = library, words
        self.fields: dict[str, Any] = {"prompt": gr.Textbox("a red boat, sea", label=words("shared.prompt"), lines=2)}
        self.rows = WeightRows(library, names_in=image_adapters)
        self._place_triggers()
        self._place_sampling()
        with gr.Accordion(words("shared.advanced"), open=False):
            self._place_further()
        self.fields["adapters"] = self.rows.box

    def _place_triggers(self) -> None:
        """Place the trigger words of the chosen adapters, and what puts them into the prompt."""
        words, rows = self._words, {"rows": self.rows.box}
        with gr.Row():
            found = gr.Textbox(label=words("generate.triggers"), interactive=False, min_width=200, scale=3)
            put = gr.Button(words("generate.put_triggers"), size="sm", min_width=120, scale=1)
        self.rows.box.select(**named(self._show_triggers, rows, {"found": found}), trigger_mode="always_last", **QUIET)
        prompt = {"prompt": self.fields["prompt"]}
        put.click(**named(self._put_triggers, {**prompt, **rows}, prompt), **QUIET)

    def _place_sampling(self) -> None:
        """Place what is changed often: seed, steps, guidance, and whether the base is drawn too."""
        words, fields = self._words, self.fields
        with gr.Row():
            fields["seed"] = gr.Number(0, label=words("shared.seed"), precision=0, minimum=-1, min_width=120)
            fields["random_seed"] = gr.Checkbox(False, label=words("generate.random"), min_width=120)
            self.same_seed = gr.Button(words("generate.same_seed"), size="sm", min_width=120)
        with gr.Row():
            for name, least, first, step in (("num_inference_steps", 1, 20, 1), ("guidance_scale", 0, 5, 0.5)):
                label = words(f"shared.{name}")
                fields[name] = gr.Slider(least, _LIMITS[name], first, step=step, label=label, min_width=180)
        fields["beside_base"] = gr.Checkbox(True, label=words("generate.beside"))

    def _place_further(self) -> None:
        """Place what is folded away."""
        words, fields = self._words, self.fields
        fields["negative_prompt"] = gr.Textbox(
            "", label=words("generate.negative"), info=words("generate.negative_info")
        )
        with gr.Row():
            for name, text, help_, first in (
                ("count", "count", "count_info", 1),
                ("width_px", "width", "size_info", None),
                ("height_px", "height", "size_info", None),
            ):
                label, info = words(f"generate.{text}"), words(f"generate.{help_}")
                fields[name] = gr.Number(first, label=label, info=info, precision=0, min_width=140)
        fields["sampler"] = gr.Dropdown(
            sampler_names(), value=AUTO, label=words("generate.sampler"), info=words("generate.sampler_info")
        )
        fields["merge"] = gr.Checkbox(False, label=words("generate.merge"), info=words("generate.merge_info"))
        fields["base"] = gr.Dropdown(
            ["pocket"],
            value="pocket",
            label=words("shared.base"),
            info=words("generate.base_info"),
            allow_custom_value=True,
        )

    def filled(self, values: Mapping[str, Any]) -> tuple[Changes, list[str]]:
        """Return changes of `fields` for settings from elsewhere, and what of them could not be used.

        Args:
            values: those that there are of prompt, negative_prompt, seed, steps, guidance, sampler, width_px,
                height_px, base, and adapters (pairs, or name -> weight); the other fields stay as they are.
        """
        unused: list[str] = []
        usable = dict(values)
        for key, most in _LIMITS.items():
            if usable.get(key, 0) > most:
                unused.append(f"{key} {usable.pop(key)} (the form goes to {most})")
        base = usable.pop("base", None)
        if base == "pocket":
            usable["base"] = base
        elif base:
            unused.append(f"base {base} (choose its folder by hand)")
        changes = {key: usable[key] for key in _FROM_ELSEWHERE if key in usable}
        if "seed" in usable:
            changes["random_seed"] = False
        if "adapters" in usable:
            adapters = usable["adapters"]
            wanted = list(adapters.items()) if isinstance(adapters, Mapping) else [tuple(pair) for pair in adapters]
            rows, lost = self.rows.fitting(wanted)
            unused += [f"adapter {name} (not in the library, or no row left)" for name in lost]
            changes["adapters"] = self.rows.laid_out(rows)
        return changes, unused

    def restored(self, values: dict[str, Any]) -> tuple[Changes, Changes]:
        """Return saved values of `fields` without adapters that are gone; nothing has to change along with them."""
        if "adapters" not in values:
            return values, {}
        kept = [(name, 1.0 if weight is None else weight) for name, weight in pairs(values["adapters"])]
        return {**values, "adapters": self.rows.laid_out(self.rows.fitting(kept)[0])}, {}

    def _show_triggers(self, rows: Any, request: gr.Request) -> Changes:
        chosen = [name for name, _ in pairs(rows) if name]
        found = triggers(self._library, chosen)
        words = [word for own in found.values() for word in own]
        if chosen and not words:
            return {"found": self._words.say(request, "generate.no_triggers")}
        return {"found": ", ".join(dict.fromkeys(words))}

    def _put_triggers(self, prompt: str, rows: Any) -> Changes:
        found = triggers(self._library, [name for name, _ in pairs(rows) if name])
        return {"prompt": with_triggers(prompt, [word for own in found.values() for word in own])}
