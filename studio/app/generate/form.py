"""The form of Generate: its components, what they ask for, and how it is filled from elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from pipelines.samplers import AUTO, sampler_names
from studio.app.generate.request import Wanted, triggers, with_triggers
from studio.app.shared.adapter_kinds import picture_adapters
from studio.app.shared.weight_rows import WeightRows, pairs
from studio.app.shared.words import Words
from studio.library.library import Library

TEXTS = {
    "generate.negative": ("Negative prompt", "反向提示詞"),
    "generate.negative_info": ("What the picture should keep away from", "圖片應避免的內容"),
    "generate.random": ("Random seed each time", "每次使用隨機種子"),
    "generate.sampler": ("Sampler", "取樣器"),
    "generate.sampler_info": (
        "How noise becomes a picture; auto: the base's own",
        "雜訊如何變成圖片；auto 為基礎模型自己的",
    ),
    "generate.same_seed": ("Same seed as last", "沿用上次種子"),
    "generate.count": ("Pictures", "張數"),
    "generate.count_info": ("Seeds count up", "種子依序遞增"),
    "generate.width": ("Width in pixels", "寬度（像素）"),
    "generate.height": ("Height in pixels", "高度（像素）"),
    "generate.size_info": ("Empty: the base's own size", "留空則用基礎模型的尺寸"),
    "generate.base_info": (
        "pocket ships with the studio; or a folder in diffusers layout, or a hub id",
        "pocket 隨附於本程式；也可填 diffusers 格式的資料夾或 hub 代號",
    ),
    "generate.beside": ("Also draw it beside the base, with the same seed", "同時以相同種子繪製基礎模型的圖片以供對照"),
    "generate.merge": ("Merge into the base while drawing", "繪製時併入基礎模型"),
    "generate.merge_info": (
        "Quicker for several pictures; they are the same but for rounding, and the base is put back bit for bit",
        "多張圖片時較快；除了捨入誤差外圖片相同，之後基礎模型會逐位元還原",
    ),
    "generate.triggers": ("Trigger words of the chosen adapters", "所選轉接器的觸發詞"),
    "generate.no_triggers": ("None of them has any.", "所選轉接器沒有觸發詞。"),
    "generate.put_triggers": ("Put them into the prompt", "加入提示詞"),
}
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_LIMITS = {"steps": 150, "guidance": 30}
"""The ends of the sliders."""


class GenerateForm:
    """Every field; `inputs` are in the order of `wanted`'s arguments."""

    def __init__(self, library: Library, words: Words) -> None:
        self._library, self._words = library, words
        self.prompt = gr.Textbox("a red boat, sea", label=words("shared.prompt"), lines=2)
        self.rows = WeightRows(library, names_in=picture_adapters)
        with gr.Row():
            self.triggers = gr.Textbox(label=words("generate.triggers"), interactive=False, min_width=200, scale=3)
            self.put_triggers = gr.Button(words("generate.put_triggers"), size="sm", min_width=120, scale=1)
        with gr.Row():
            self.seed = gr.Number(0, label=words("shared.seed"), precision=0, minimum=-1, min_width=120)
            self.random_seed = gr.Checkbox(False, label=words("generate.random"), min_width=120)
            self.same_seed = gr.Button(words("generate.same_seed"), size="sm", min_width=120)
        with gr.Row():
            self.steps = gr.Slider(1, _LIMITS["steps"], 20, step=1, label=words("shared.steps"), min_width=180)
            self.guidance = gr.Slider(
                0, _LIMITS["guidance"], 5, step=0.5, label=words("shared.guidance"), min_width=180
            )
        self.beside_base = gr.Checkbox(True, label=words("generate.beside"))
        with gr.Accordion(words("shared.advanced"), open=False):
            self.negative = gr.Textbox("", label=words("generate.negative"), info=words("generate.negative_info"))
            with gr.Row():
                self.count = gr.Number(
                    1, label=words("generate.count"), info=words("generate.count_info"), precision=0, min_width=140
                )
                self.width = gr.Number(
                    None, label=words("generate.width"), info=words("generate.size_info"), precision=0, min_width=140
                )
                self.height = gr.Number(
                    None, label=words("generate.height"), info=words("generate.size_info"), precision=0, min_width=140
                )
            self.sampler = gr.Dropdown(
                sampler_names(), value=AUTO, label=words("generate.sampler"), info=words("generate.sampler_info")
            )
            self.merge = gr.Checkbox(False, label=words("generate.merge"), info=words("generate.merge_info"))
            self.base = gr.Dropdown(
                ["pocket"],
                value="pocket",
                label=words("shared.base"),
                info=words("generate.base_info"),
                allow_custom_value=True,
            )
        self.rows.box.select(self._trigger_words, self.rows.box, self.triggers, trigger_mode="always_last", **_QUIET)
        self.put_triggers.click(self._with_triggers, [self.prompt, self.rows.box], self.prompt, **_QUIET)

    @property
    def _fields(self) -> list[Any]:
        return [
            *(self.prompt, self.negative, self.seed, self.random_seed, self.count, self.steps, self.guidance),
            *(self.sampler, self.width, self.height, self.base, self.beside_base, self.merge),
        ]

    @property
    def inputs(self) -> list[Any]:
        """The fields, then the rows of adapters."""
        return [*self._fields, self.rows.box]

    @staticmethod
    def wanted(values: Sequence[Any]) -> Wanted:
        """Return what the values of `inputs` ask for."""
        *fields, rows = values
        return Wanted(*(*fields, pairs(rows)))

    def filled(self, values: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
        """Return updates of `inputs` for settings from elsewhere, and what of them could not be used.

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
        order = (
            "prompt",
            "negative_prompt",
            "seed",
            "",
            "",
            "steps",
            "guidance",
            "sampler",
            "width_px",
            "height_px",
            "base",
            "",
            "",
        )
        fields = [usable[key] if key in usable else gr.skip() for key in order]
        if "seed" in usable:
            fields[3] = False
        if "adapters" not in usable:
            return [*fields, gr.skip()], unused
        adapters = usable["adapters"]
        wanted = list(adapters.items()) if isinstance(adapters, Mapping) else [tuple(pair) for pair in adapters]
        rows, lost = self.rows.fitting(wanted)
        unused += [f"adapter {name} (not in the library, or no row left)" for name in lost]
        return [*fields, self.rows.laid_out(rows)], unused

    def restored(self, values: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return saved values of `inputs` without adapters that are gone; nothing has to change along with them."""
        if not values:
            return [], []
        *fields, rows = values
        kept = [(name, 1.0 if weight is None else weight) for name, weight in pairs(rows)]
        return [*fields, self.rows.laid_out(self.rows.fitting(kept)[0])], []

    def _trigger_words(self, rows: Any, request: gr.Request) -> str:
        chosen = [name for name, _ in pairs(rows) if name]
        found = triggers(self._library, chosen)
        words = [word for own in found.values() for word in own]
        if chosen and not words:
            return self._words.say(request, "generate.no_triggers")
        return ", ".join(dict.fromkeys(words))

    def _with_triggers(self, prompt: str, rows: Any) -> str:
        found = triggers(self._library, [name for name, _ in pairs(rows) if name])
        return with_triggers(prompt, [word for own in found.values() for word in own])
