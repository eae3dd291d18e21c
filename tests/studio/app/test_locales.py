"""Languages of the page: one file each, the same placeholders in all, every text used, a dropped file offered."""

import json
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import studio.app
from studio.app.shared.field_names import on_page
from studio.app.shared.locales import ENGLISH, language_of, locales, tags_of, text
from studio.app.shared.words import Words
from studio.runs.presets import presets

_ROOT = Path(studio.app.__path__[0])
_OF_RECORDS = ("field.", "part.", "kind.", "stage.", "metric.", "preset.", "flag.", "facts.", "group.", "language.")
"""Texts of what the registries hold: English stands with most of these, and their keys are made of names."""


def _placeholders(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name}


@pytest.mark.parametrize("language", [language for language in locales() if language != ENGLISH])
def test_a_language_lacks_nothing_and_holds_nothing_else(language: str) -> None:
    english, own = locales()[ENGLISH], locales()[language]
    assert english.keys() - own.keys() == {key for key in english if key.startswith("field.")} - own.keys()
    assert not [key for key in own.keys() - english.keys() if not key.startswith(_OF_RECORDS)]
    assert {f"preset.{preset.name}.{what}" for preset in presets() for what in preset.texts} <= own.keys()


def test_every_language_fills_in_the_same() -> None:
    english = locales()[ENGLISH]
    for language, texts in locales().items():
        for key in texts.keys() & english.keys():
            assert _placeholders(texts[key]) == _placeholders(english[key]), (language, key)


def test_every_text_is_used() -> None:
    code = "".join(path.read_text() for path in [*_ROOT.rglob("*.py"), *_ROOT.rglob("*.js")])
    made = {re.sub(r"\{[^}]*\}", "", found) for found in re.findall(r'f"([a-z_]+\.[^"]*)"', code)}
    beginnings = tuple(beginning for beginning in made if beginning.count(".") and not beginning.endswith(" "))
    unused = [
        key
        for key in locales()[ENGLISH]
        if not key.startswith(_OF_RECORDS) and f'"{key}"' not in code and not key.startswith(beginnings)
    ]
    assert unused == []


@pytest.fixture
def pirate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A further language with a few texts."""
    (tmp_path / "locales").mkdir()
    own = {"language.name": "Pirate", "shared.done": "Aye.", "field.steps.label": "Strokes", "flag.seeds": "Doubloons"}
    (tmp_path / "locales" / "en-PI.json").write_text(json.dumps(own))
    monkeypatch.setattr(studio.app, "__path__", [*studio.app.__path__, str(tmp_path)])
    locales.cache_clear()
    yield
    monkeypatch.undo()
    locales.cache_clear()


@pytest.mark.usefixtures("pirate")
def test_a_dropped_file_is_a_language() -> None:
    assert language_of("en-PI,en;q=0.5") == "en-PI"
    assert text("en-PI", "shared.done") == "Aye."
    assert text("en-PI", "shared.cancel") == text(ENGLISH, "shared.cancel"), "what it lacks is English"
    assert "en-PI" in Words().i18n.translations
    assert Words().both("shared.done").endswith("Aye.")
    assert on_page("Give --seeds.") == "Give “Seeds”."


@pytest.mark.usefixtures("pirate")
def test_a_text_given_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "room" / "locales").mkdir(parents=True)
    (tmp_path / "room" / "locales" / "en-PI.json").write_text('{"shared.done": "Arr."}')
    locales.cache_clear()
    with pytest.raises(RuntimeError, match=r"repeats the texts shared\.done"):
        locales()


@pytest.mark.parametrize(
    ("wanted", "served"),
    [
        ("zh-TW,zh;q=0.9,en;q=0.8", "zh-TW"),
        ("zh-HK", "zh-TW"),
        ("zh-Hant-TW", "zh-TW"),
        ("ZH", "zh-TW"),
        ("zh-CN", "zh-TW"),
        ("en-GB,en", "en"),
        ("fr,zh-TW", "en"),
        ("", "en"),
    ],
)
def test_a_reader_is_served_by_the_first_wish(wanted: str, served: str) -> None:
    assert language_of(wanted) == served
    assert served in tags_of(served)
