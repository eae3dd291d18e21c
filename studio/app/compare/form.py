"""The form of Compare: what varies, where it stands in the grid, and how everything is drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from studio.app.shared.adapter_kinds import picture_adapters
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
    "guidance",
    "steps",
    "sampler",
)
MORE_AXES = {
    "blend": ("Blends, one a line", "混合方式，每行一個"),
    "block": ("Blocks", "區塊"),
    "method": ("Methods", "方法"),
    "rank": ("Ranks", "秩"),
    "step": ("Checkpoints", "檢查點"),
    "guidance": ("Guidances", "引導強度"),
    "steps": ("Step counts", "取樣步數"),
    "sampler": ("Samplers", "取樣器"),
    "base": ("Bases", "基礎模型"),
}
_HELP = {
    "blend": ("Such as ties density=0.4; exact is the plain sum", "例如 ties density=0.4；exact 為單純相加"),
    "block": ("Where it acts alone, -NAME where it does not, or all", "只在該區塊作用；-名稱 表示排除；all 表示全部"),
    "method": ("Fill {method} in the adapters' names", "填入轉接器名稱中的 {method}"),
    "rank": ("Such as 4,8,full: fill {rank} in names, or cut to it", "例如 4,8,full：填入名稱中的 {rank}，或降到該秩"),
    "step": ("Such as 50,100,final: steps of the adapters' runs", "例如 50,100,final：轉接器訓練時的步數"),
    "guidance": ("Such as 3,5,7", "例如 3,5,7"),
    "steps": ("Such as 10,20", "例如 10,20"),
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
_KEYS = (
    *("adapters", "prompts", "weights", "seeds", "rows", "columns", "pages", "with_base", "mixtures", "subjects"),
    *("steps", "guidance", "negative_prompt", "base", "judge"),
)


class CompareForm:
    """Every field; `inputs` are in the order of the keys above and then the further axes."""

    def __init__(self, library: Library, words: Words) -> None:
        self._library = library
        self.adapters = gr.Dropdown(
            picture_adapters(library),
            value=[],
            multiselect=True,
            label=words("shared.adapters"),
            info=words("compare.adapters_info"),
            allow_custom_value=True,
        )
        self.prompts = gr.Textbox("a red boat, sea\na purple house, meadow", label=words("compare.prompts"), lines=3)
        with gr.Row():
            weights = gr.Textbox(
                "0, 0.5, 1", label=words("compare.weights"), info=words("compare.weights_info"), min_width=140
            )
            seeds = gr.Textbox("0, 1", label=words("compare.seeds"), info=words("compare.seeds_info"), min_width=140)
        with gr.Row():
            rows, columns, pages = (
                gr.Dropdown(
                    list(AXES),
                    value=list(first),
                    multiselect=True,
                    label=words(f"compare.{key}"),
                    info=words("compare.axes_info"),
                    min_width=200,
                )
                for key, first in (("rows", ("prompt", "seed")), ("columns", ("adapter", "weight")), ("pages", ()))
            )
        with_base = gr.Checkbox(True, label=words("compare.with_base"))
        with gr.Accordion(words("compare.more_axes"), open=False):
            mixtures = gr.Textbox("", label=words("compare.mixtures"), info=words("compare.mixtures_info"), lines=2)
            subjects = gr.Textbox("", label=words("compare.subjects"), info=words("compare.subjects_info"), lines=2)
            self.more = [
                gr.Textbox(
                    "",
                    label=words(f"compare.axis_{axis}"),
                    info=words(f"compare.axis_{axis}_info"),
                    lines=2 if axis == "blend" else 1,
                )
                for axis in MORE_AXES
            ]
        with gr.Accordion(words("shared.advanced"), open=False):
            with gr.Row():
                steps = gr.Slider(1, 150, 20, step=1, label=words("shared.steps"), min_width=180)
                guidance = gr.Slider(0, 30, 5, step=0.5, label=words("shared.guidance"), min_width=180)
            negative = gr.Textbox("", label=words("compare.negative"))
            with gr.Row():
                base = gr.Textbox("pocket", label=words("shared.base"), min_width=140)
                judge = gr.Textbox(
                    "auto", label=words("compare.judge"), info=words("compare.judge_info"), min_width=140
                )
        self.inputs = [
            *(self.adapters, self.prompts, weights, seeds, rows, columns, pages, with_base, mixtures),
            subjects,
            *(steps, guidance, negative, base, judge),
            *self.more,
        ]

    @staticmethod
    def arguments(values: Sequence[Any]) -> dict[str, Any]:
        """Return the arguments of the job ``compare``.

        Raises:
            UserError: a field that is needed is empty.
        """
        values = ["" if value is None else value for value in values]  # a text that nobody touched
        found = dict(zip(_KEYS, values[: len(_KEYS)], strict=True))
        for key in ("adapters", "rows", "columns", "pages"):
            found[key] = list(found[key] or [])
        needed = {"weights": "the weights are", "seeds": "the seeds are", "prompts": "the prompts are"}
        raise_problems(
            "The comparison cannot be drawn:",
            [f"{what} empty; at least one is needed" for key, what in needed.items() if not str(found[key]).strip()],
        )
        if not found["adapters"] and not str(found["mixtures"]).strip():
            raise UserError("No adapter is chosen. Choose at least one, or write a mixture under 'More axes'.")
        found["mixtures"] = [line.strip() for line in str(found["mixtures"]).splitlines() if line.strip()]
        found["subjects"] = [line.strip() for line in str(found["subjects"]).rstrip().splitlines()]
        more = dict(zip(MORE_AXES, values[len(_KEYS) :], strict=True))
        return {
            **found,
            "steps": int(found["steps"]),
            "guidance": float(found["guidance"]),
            "base": found["base"].strip() or "pocket",
            "judge": found["judge"].strip() or "auto",
            "more": {axis: text for axis, text in more.items() if text.strip()},
        }

    def refreshed(self) -> Any:
        """Return an update of `adapters` with what the library holds now."""
        return gr.update(choices=picture_adapters(self._library))

    def received(self, sent: Mapping[str, Any] | None) -> list[Any]:
        """Return updates of `adapters` and `prompts` for what another tab sent."""
        sent = sent or {}
        adapters = gr.update(choices=picture_adapters(self._library), value=list(sent.get("adapters", [])))
        return [adapters, sent["prompt"] if sent.get("prompt") else gr.skip()]

    def restored(self, values: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return saved values without adapters that are gone, and an update of the adapters' choices."""
        names = set(picture_adapters(self._library))
        if values:
            chosen = values[0] or []
            values[0] = [name for name in chosen if "{" in name or name.partition("@")[0] in names]
        return values, [self.refreshed()]
