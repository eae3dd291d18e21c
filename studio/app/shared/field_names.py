"""Errors as the page says them: where the library's sentence names a flag of the command line, the page's field.

The library's sentences are written for the command line; this is the one place where the page makes them its own.
"""

import re
from collections.abc import Mapping

from gradio.context import LocalContext

from studio.app.shared.field_texts import CHINESE
from studio.app.shared.words import reader_language
from studio.runs.kinds import run_kinds
from studio.settings_schema import label_of

_OTHERS: Mapping[str, tuple[str, str]] = {
    "adapter": ("Adapters", "轉接器"),
    "allow-unmatched": ("Import although names have no place", "即使有名稱無對應仍匯入"),
    "allow-unread": ("Write it although the program will not apply all of it", "即使該程式無法套用全部內容仍寫出"),
    "blend": ("Way to combine", "混合方法"),
    "blocks": ("Blocks", "區塊"),
    "error": ("Error", "誤差"),
    "dora-norm": ("DoRA magnitudes stand over", "DoRA 幅度的基準"),
    "energy": ("Energy", "能量"),
    "file": ("Form of the file", "檔案的形式"),
    "for": ("For the program", "供此程式使用"),
    "format": ("Format", "格式"),
    "goal": ("Goals", "目標"),
    "library": ("Library", "收藏庫"),
    "methods": ("Methods", "方法"),
    "mix": ("Mixtures, one a line", "混合比例，每行一個"),
    "negative-prompt": ("Negative prompt", "反向提示詞"),
    "pages": ("One page each", "分頁"),
    "rank": ("Rank", "秩"),
    "recipe": ("Recipe", "配方"),
    "save-as": ("Number format", "數值格式"),
    "seeds": ("Seeds", "種子"),
    "setting": ("Settings of the method", "方法的設定"),
    "without": ("Parent to take out", "要取出的來源"),
}
"""Flag -> label of its field, where the field is no setting of a run."""
_FLAG = re.compile(
    r"(?P<command>'studio [^']*'|\bstudio(?: [^\s;,)]*[^\s;,).])+)|(?<![\w-])--(?P<flag>[a-z]+(?:-[a-z]+)*)"
)
"""A whole command, which is meant to be typed and stays as it is; or a flag."""


def on_page(text: str) -> str:
    """Return an error's sentence with the page's fields in place of flags; flags that have no field stay.

    The labels are in the language of the browser that is being answered, English where none is.
    """
    if "--" not in text:
        return text
    language = reader_language(LocalContext.request.get(None))
    labels = _labels()

    def named(found: re.Match[str]) -> str:
        flag = found["flag"]
        if flag is None:
            return found[0]
        if flag in labels:
            return f"“{labels[flag][language]}”"
        switched_off = labels.get(flag.removeprefix("no-")) if flag.startswith("no-") else None
        return f"“{switched_off[language]}” {('off', '關閉')[language]}" if switched_off else found[0]

    return _FLAG.sub(named, text)


def _labels() -> dict[str, tuple[str, str]]:
    """Return flag -> label in both languages: every setting of every kind of run, then the other fields."""
    names = [name for kind in run_kinds().values() for name in kind.settings.model_fields]
    settings = {name: (label_of(name), CHINESE.get(name, (label_of(name),))[0]) for name in (*names, "learning_rate")}
    return {**{name.replace("_", "-"): label for name, label in settings.items()}, **_OTHERS}
