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
MORE_AXES = {
    "blend": ("Blends, one a line", "混合方式，每行一個"),
    "block": ("Blocks", "區塊"),
    "method": ("Methods", "方法"),
    "rank": ("Ranks", "秩"),
    "step": ("Checkpoints", "檢查點"),
    "guidance_scale": ("Guidances", "引導強度"),
    "num_inference_steps": ("Step counts", "取樣步數"),
    "sampler": ("Samplers", "取樣器"),
    "base": ("Bases", "基礎模型"),
}
_HELP = {
    "blend": ("Such as ties density=0.4; exact is the plain sum", "例如 ties density=0.4；exact 為單純相加"),
    "block": ("Where it acts alone, -NAME where it does not, or all", "只在該區塊作用；-名稱 表示排除；all 表示全部"),
    "method": ("Fill {method} in the adapters' names", "填入轉接器名稱中的 {method}"),
    "rank": ("Such as 4,8,full: fill {rank} in names, or cut to it", "例如 4,8,full：填入名稱中的 {rank}，或降到該秩"),
    "step": ("Such as 50,100,final: steps of the adapters' runs", "例如 50,100,final：轉接器訓練時的步數"),
    "guidance_scale": ("Such as 3,5,7", "例如 3,5,7"),
    "num_inference_steps": ("Such as 10,20", "例如 10,20"),
    "sampler": (
        "Such as auto,euler,dpmpp_2m; auto is the base's own",
        "例如 auto,euler,dpmpp_2m；auto 為基礎模型自己的",
    ),
    "base": ("With commas", "以逗號分隔"),
}
TEXTS = {
    "compare.adapters_info": (
        "Several; a name may hold {method}, {rank} or {step}",
        "可多選；名稱可含 {method}、{rank} 或 {step}",
    ),
    "compare.prompts": ("Prompts, one a line", "提示詞，每行一個"),
    "compare.subjects": ("Subjects, one a line", "主體，每行一個"),
    "compare.subjects_info": (
        "What every look should keep of each prompt, such as a boat; empty: its first phrase without colours",
        "每段提示詞應保留的內容，例如 a boat；留空則取其第一個片語並去除顏色",
    ),
    "compare.weights": ("Weights", "權重"),
    "compare.weights_info": ("With commas; 0 is the base", "以逗號分隔；0 即基礎模型"),
    "compare.seeds": ("Seeds", "種子"),
    "compare.seeds_info": (
        "With commas; two or more give intervals, -1 draws one",
        "以逗號分隔；兩個以上才有信賴區間，-1 為隨機",
    ),
    "compare.rows": ("Along the rows", "列"),
    "compare.columns": ("Along the columns", "欄"),
    "compare.pages": ("One page each", "分頁"),
    "compare.axes_info": ("Every axis that varies once, the slowest first", "每個變動的軸放一次，變化最慢者在前"),
    "compare.with_base": ("Also without any adapter", "另加一組不用轉接器的圖片"),
    "compare.more_axes": ("More axes", "更多軸"),
    "compare.mixtures": ("Mixtures, one a line", "混合比例，每行一個"),
    "compare.mixtures_info": ("Such as blueprint:0.6,watercolor:0.4", "例如 blueprint:0.6,watercolor:0.4"),
    "compare.judge": ("Judge", "評審模型"),
    "compare.judge_info": (
        "A CLIP model for the scores: auto, pocket or a folder",
        "用於評分的 CLIP 模型：auto、pocket 或資料夾",
    ),
    "compare.negative": ("Negative prompt", "反向提示詞"),
    **{f"compare.axis_{axis}": text for axis, text in MORE_AXES.items()},
    **{f"compare.axis_{axis}_info": text for axis, text in _HELP.items()},
}
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
