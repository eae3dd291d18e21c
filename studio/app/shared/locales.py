"""The languages of the page: one JSON file each in ``studio/app/locales``, named by its language tag.

A file maps keys to texts. English has every key; what another language lacks is shown in English. A room of the app may
bring texts of its own in ``<room>/locales/<tag>.json``, so that a tab stays one folder.
"""

import functools
import json
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import studio.app

ENGLISH = "en"
_ALSO = {"zh-TW": ("zh-Hant", "zh-HK", "zh-MO")}
"""Tags of readers who are served by another tag's file, where the tags do not show that it is the nearest."""


@functools.cache
def locales() -> Mapping[str, Mapping[str, str]]:
    """Return language tag -> key -> text, English first.

    Raises:
        RuntimeError: two files give a key of one language.
    """
    found: dict[str, dict[str, str]] = {ENGLISH: {}}
    for file in _files():
        texts = found.setdefault(file.stem, {})
        own: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
        if twice := sorted(own.keys() & texts.keys()):
            raise RuntimeError(f"{file} repeats the texts {', '.join(twice)}")
        texts.update(own)
    return found


def tags_of(language: str) -> tuple[str, ...]:
    """Return the tags of readers who are served in a language; ``pt-BR`` serves plain ``pt`` where no other does."""
    plain = language.partition("-")[0]
    others = [other for other in locales() if other.partition("-")[0] == plain]
    also = (*_ALSO.get(language, ()), *((plain,) if others[0] == language else ()))
    return (language, *(tag for tag in also if tag not in locales()))


def language_of(wanted: str) -> str:
    """Return the language that suits a browser best, by its ``Accept-Language``; English where none does."""
    first = wanted.split(",")[0].split(";")[0].strip().lower()
    served = {tag.lower(): language for language in locales() for tag in tags_of(language)}
    while first:
        if first in served:
            return served[first]
        first = first.rpartition("-")[0]
    return ENGLISH


def text(language: str, key: str, default: str | None = None, **values: object) -> str:
    """Return a text, in English where the language lacks it.

    What stands in a text as ``{count:picture|pictures}`` becomes the first word for 1, else the second.

    Args:
        default: the English text where it is said elsewhere, such as a setting's description; no file need have it.

    Raises:
        RuntimeError: there is no such text.
    """
    found = locales()[language].get(key, locales()[ENGLISH].get(key, default))
    if found is None:
        raise RuntimeError(f"there is no text {key!r}")
    return Counting().format(found, **values) if values else found


class Counting(string.Formatter):
    """`str.format` with a word for one thing and another for several: a count alone chooses it."""

    def format_field(self, value: Any, form: str) -> str:
        one, has_two, several = form.partition("|")
        if has_two:
            return one if value == 1 else several
        return str(super().format_field(value, form))


def _files() -> Iterator[Path]:
    for folder in studio.app.__path__:
        yield from sorted(Path(folder).glob("locales/*.json"))
        yield from sorted(Path(folder).glob("*/locales/*.json"))
