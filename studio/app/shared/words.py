"""The app's texts in English and Traditional Chinese.

What stands on the page is translated by the browser, by its own language; what a handler says later is translated here,
by the language that the browser asked for.
"""

import string
from collections.abc import Mapping
from typing import Any

import gradio as gr

_CHINESE = ("zh-tw", "zh-hant", "zh-hk", "zh-mo", "zh")

SHARED: Mapping[str, tuple[str, str]] = {
    "shared.adapters": ("Adapters", "轉接器"),
    "shared.base": ("Base", "基礎模型"),
    "shared.cancel": ("Cancel", "取消"),
    "shared.cancelled": ("Cancelled.", "已取消。"),
    "shared.refresh": ("Refresh", "重新整理"),
    "shared.waiting": ("Waiting: {ahead} before this one.", "等待中：前面還有 {ahead} 件。"),
    "shared.loading": ("Starting the inference process …", "正在啟動推論程序……"),
    "shared.done": ("Done.", "完成。"),
    "shared.name": ("Name", "名稱"),
    "shared.save": ("Save", "儲存"),
    "shared.prompt": ("Prompt", "提示詞"),
    "shared.seed": ("Seed", "種子"),
    "shared.num_inference_steps": ("Steps", "步數"),
    "shared.guidance_scale": ("Guidance", "引導強度"),
    "shared.advanced": ("More settings", "更多設定"),
}


class Words:
    """All texts by key. A key that is missing or stands twice is an error when the app is built."""

    def __init__(self, *tables: Mapping[str, tuple[str, str]]) -> None:
        self._table: dict[str, tuple[str, str]] = {}
        for table in (SHARED, *tables):
            twice = self._table.keys() & table.keys()
            if twice:
                raise RuntimeError(f"texts stand twice: {', '.join(sorted(twice))}")
            self._table.update(table)
        english = {key: texts[0] for key, texts in self._table.items()}
        chinese = {key: texts[1] for key, texts in self._table.items()}
        self.i18n = gr.I18n(en=english, **{"zh-TW": chinese, "zh-Hant": chinese, "zh": chinese})

    def __call__(self, key: str) -> Any:
        """Return a text for a component, which the browser translates."""
        if key not in self._table:
            raise RuntimeError(f"there is no text {key!r}")
        return self.i18n(key)

    def both(self, key: str) -> str:
        """Return a text in both languages, for what the browser reads out as it stands, such as a picture's name."""
        return " · ".join(self._table[key])

    def say(self, request: gr.Request | None, key: str, **values: object) -> str:
        """Return a text for a handler's answer, in the language that the browser asked for.

        What stands in a text as ``{count:picture|pictures}`` becomes the first word for 1, else the second.
        """
        return _Counting().format(self._table[key][reader_language(request)], **values)


class _Counting(string.Formatter):
    """`str.format` with a word for one thing and another for several: a count alone chooses it."""

    def format_field(self, value: Any, form: str) -> str:
        one, has_two, several = form.partition("|")
        if has_two:
            return one if value == 1 else several
        return str(super().format_field(value, form))


def reader_language(request: gr.Request | None) -> int:
    """Return 0 for English, 1 for Traditional Chinese, by what the browser of a request asks for."""
    headers = getattr(request, "headers", None)
    return language_of((headers.get("accept-language") or "") if headers is not None else "")


def language_of(wanted: str) -> int:
    """Return 0 for English, 1 for Traditional Chinese, by what a browser says it wants."""
    first = wanted.split(",")[0].split(";")[0].strip().lower()
    return int(first.startswith(_CHINESE))
