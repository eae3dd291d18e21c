"""The variables of the texts and the forms their words take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from . import words
from .domains import Domain, MadeUp, OneOf, PerWord

MADE_UP_NAMES = 0.2
THINGS = (1, 2, 3)
# What a scene is about: held-out scenes are told by these and by nothing else.
SCENE_VARIABLES = (
    *(f"{kind}{number}" for number in THINGS for kind in ("noun", "colour", "size")),
    *("who", "who2", "setting", "fit", "mood", "number"),
)
MARKS = (" ", " ", " ", ", ", "! ", "? ", ". ", "; ", ": ", " - ", "\n", "'", ", '", "'s ")


def _others(kind: str, own: object) -> list[str]:
    names = [f"{kind}{number}" for number in THINGS if number != own]
    return names if own == "other" else [*names, f"other_{kind}"]


def _domains() -> dict[str, Domain]:
    names = (*words.SHE, *words.HE)
    domains: dict[str, Domain] = {
        "who": MadeUp(names, made_up_share=MADE_UP_NAMES, unlike=("who2",)),
        "who2": MadeUp(names, made_up_share=MADE_UP_NAMES, unlike=("who",)),
        "setting": OneOf(tuple(words.PLACES)),
        "fit": PerWord("noun1", {noun: OneOf(settings) for noun, (_, settings) in words.NOUNS.items()}),
        "mood": OneOf(words.MOODS),
        "number": OneOf(words.NUMBERS),
        "sky": OneOf(words.SKIES),
        "time": OneOf(words.TIMES),
        "style": OneOf(words.NAMED_STYLES),
        "side": OneOf(words.SIDES),
        "relation": OneOf(("next to", "behind", "in front of", "near")),
    }
    for own in (*THINGS, "other"):
        suffix = f"_{own}" if own == "other" else str(own)
        prefix = "other_" if own == "other" else ""
        end = "" if own == "other" else suffix
        domains[f"{prefix}noun{end}"] = OneOf(tuple(words.NOUNS), unlike=_others("noun", own))
        domains[f"{prefix}colour{end}"] = OneOf(words.COLOURS, unlike=_others("colour", own))
    for number in THINGS:
        domains[f"size{number}"] = OneOf(words.SIZES, weights=(1, 2, 1))
    domains["drawn_size"] = OneOf(("", "large "))
    for number in (1, 2, 3, 4):
        domains[f"word{number}"] = MadeUp()
        domains[f"name{number}"] = MadeUp(names, made_up_share=0.9)
        domains[f"bit{number}"] = MadeUp(syllables=((1, 1.0),))
        domains[f"mark{number}"] = OneOf(tuple(dict.fromkeys(MARKS)), weights=(3, *[1] * 11))
    return domains


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sized(size: str, colour: str) -> str:
    return words.with_article(f"{size}{colour}")


def _size_word(size: str) -> str:
    return size.strip() or "of middle size"


DOMAINS: Mapping[str, Domain] = MappingProxyType(_domains())
FORMS: Mapping[str, Callable[..., str]] = MappingProxyType(
    {
        "a": words.with_article,
        "A": lambda word: _capital(words.with_article(word)),
        "sized": _sized,
        "Sized": lambda size, colour: _capital(_sized(size, colour)),
        "how_big": _size_word,
        "cap": _capital,
        "plural": lambda noun: words.PLURALS[noun],
        "place": lambda setting: words.PLACES[setting],
        "Place": lambda setting: _capital(words.PLACES[setting]),
        "she": words.pronoun,
        "She": lambda name: _capital(words.pronoun(name)),
        "her": words.pronoun_possessive,
        "Her": lambda name: _capital(words.pronoun_possessive(name)),
    }
)
