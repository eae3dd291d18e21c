"""Errors as the page says them: where the library's sentence names a flag of the command line, the page's field.

The library's sentences are written for the command line; this is the one place where the page makes them its own.
"""

import re

from gradio.context import LocalContext

from studio.app.shared.field_texts import setting_label
from studio.app.shared.locales import ENGLISH, locales, text
from studio.app.shared.words import reader_language
from studio.runs.kinds import run_kinds

_OTHERS = "flag."
"""Texts of fields that are no setting of a run begin with it."""
_FLAG = re.compile(
    r"(?P<command>'studio [^']*'|\bstudio(?: [^\s;,)]*[^\s;,).])+)|(?<![\w-])--(?P<flag>[a-z]+(?:-[a-z]+)*)"
)
"""A whole command, which is meant to be typed and stays as it is; or a flag."""


def on_page(sentence: str) -> str:
    """Return an error's sentence with the page's fields in place of flags; flags that have no field stay.

    The labels are in the language of the browser that is being answered, English where none is.
    """
    if "--" not in sentence:
        return sentence
    language = reader_language(LocalContext.request.get(None))
    labels = _labels(language)

    def named(found: re.Match[str]) -> str:
        flag = found["flag"]
        if flag is None:
            return found[0]
        if flag in labels:
            return f"“{labels[flag]}”"
        switched_off = labels.get(flag.removeprefix("no-")) if flag.startswith("no-") else None
        return f"“{switched_off}” {text(language, 'flag.off')}" if switched_off else found[0]

    return _FLAG.sub(named, sentence)


def _labels(language: str) -> dict[str, str]:
    """Return flag -> label: every setting of every kind of run, then the fields that are no setting of one."""
    names = [name for kind in run_kinds().values() for name in kind.settings.model_fields]
    settings = {name.replace("_", "-"): setting_label(language, name) for name in (*names, "learning_rate")}
    others = [key.removeprefix(_OTHERS) for key in locales()[ENGLISH] if key.startswith(_OTHERS)]
    return {**settings, **{flag: text(language, _OTHERS + flag) for flag in others if flag != "off"}}
