"""The tables of a comparison for reading: their columns' heads in words, and an interval beside its mean.

The columns of metrics have their words from the metric's own file.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from pipelines.metrics import Column, metrics

HEADS: Mapping[str, tuple[str, str]] = {
    "compare.head_look": ("Drawn with", "繪製方式"),
    "compare.head_pictures": ("Pictures", "張數"),
    "compare.head_seeds": ("Seeds", "種子數"),
    "compare.head_prompt_kept": (  # of comparisons drawn before subjects were scored
        "Share of the whole prompt (old; Start measures anew)",
        "整段提示詞的比例（舊版；按「開始」重新評分）",
    ),
    "compare.head_page": ("Page", "分頁"),
    "compare.head_row": ("Row", "列"),
    "compare.head_column": ("Column", "欄"),
    "compare.head_adapter": ("Adapter", "轉接器"),
    "compare.head_weight": ("Weight", "權重"),
    "compare.head_method": ("Method", "方法"),
    "compare.head_rank": ("Rank", "秩"),
    "compare.head_step": ("Checkpoint", "檢查點"),
    "compare.head_block": ("Block", "區塊"),
    "compare.head_base": ("Base", "基礎模型"),
    "compare.head_prompt": ("Prompt", "提示詞"),
    "compare.head_seed": ("Seed", "種子"),
    "compare.head_num_inference_steps": ("Steps", "步數"),
    "compare.head_sampler": ("Sampler", "取樣器"),
    "compare.head_guidance_scale": ("Guidance", "引導強度"),
    "compare.head_adapters": ("All adapters", "所有轉接器"),
    "compare.head_blend": ("Blend", "混合方式"),
    "compare.head_subject": ("Subject that is scored", "評分用的主體"),
    "compare.head_asked": ("Prompt that is scored", "評分用的提示詞"),
}
Say = Callable[..., str]
"""(key, values) -> a text in the reader's language."""


def head_of(name: str, say: Say, language: str = "en") -> str:
    """Return a column's head in words; `name` is as the CSV has it, such as ``clip_i:ink``."""
    kind, _, adapter = name.partition(":")
    kind = kind.replace(" ", "_")  # "subject kept", as older comparisons have it
    if kind in metrics():
        return Column(metrics()[kind], adapter).title(language)
    key = f"compare.head_{kind}"
    return say(key) if key in HEADS else name


def descriptions(table: Sequence[Sequence[str]], language: str = "en") -> str:
    """Return what the columns of metrics in a CSV's table mean, each metric once."""
    kinds = dict.fromkeys(name.removesuffix(" ±").partition(":")[0].replace(" ", "_") for name in table[0])
    return " ".join(metrics()[kind].text(language).description for kind in kinds if kind in metrics())


def readable(table: Sequence[Sequence[str]], say: Say, language: str = "en") -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of a CSV's table, its heads first, with every half-width beside its mean: ``0.41 ± 0.02``.

    Empty cells become a dash.
    """
    names, *lines = table
    widths = {name.removesuffix(" ±"): place for place, name in enumerate(names) if name.endswith(" ±")}
    places = [place for place, name in enumerate(names) if not name.endswith(" ±")]

    def cell(line: Sequence[str], place: int) -> str:
        width = line[widths[names[place]]] if names[place] in widths else ""
        return f"{line[place]} ± {width}" if width else line[place] or "–"

    return [head_of(names[place], say, language) for place in places], [
        [cell(line, n) for n in places] for line in lines
    ]


def table_html(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that scrolls to the side where it is too wide; everything is escaped."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(text)}</td>" for text in others)}</tr>'
        for first, *others in rows
    )
    return (
        f'<div class="studio-wide" role="region" tabindex="0" aria-label="{escape(title)}"><table class="studio-table">'
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
