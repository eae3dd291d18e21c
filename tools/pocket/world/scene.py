"""What a picture shows: things in a setting, in words and at random."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from .backdrops import SETTINGS
from .characters import CHARACTERS
from .colours import COLOURS
from .nouns import NOUNS

SIZES: tuple[str, ...] = ("small", "medium", "large")
POSITIONS: tuple[str, ...] = ("left", "centre", "right", "top")
POSITION_WORDS = (("left", " on the left"), ("right", " on the right"), ("top", " at the top"))
HELD_OUT_SHARE = 0.06


@dataclass(frozen=True)
class Thing:
    """A noun, or a character by name. `medium` and `centre` go unsaid.

    Among several things the position does not count: they stand in a row.
    """

    noun: str
    colour: str
    size: str = "medium"
    position: str = "centre"


@dataclass(frozen=True)
class Scene:
    """One to three things, left to right, in a setting."""

    things: tuple[Thing, ...]
    setting: str


def sample_scene(rng: random.Random, *, count: int | None = None) -> Scene:
    """A random scene of `count` things (1 to 3; by default 62 % one, 30 % two, 8 % three).

    Nouns and colours within one scene differ. Held-out scenes are among them: ask `is_held_out`.
    """
    if count is None:
        count = rng.choices((1, 2, 3), weights=(62, 30, 8))[0]
    nouns = rng.sample(NOUNS, count)
    colours = rng.sample(tuple(COLOURS), count)
    things = []
    for noun, colour in zip(nouns, colours, strict=True):
        size = rng.choices(SIZES, weights=(1, 3, 1))[0]
        position = "centre"
        if count == 1:
            position = rng.choices(POSITIONS, weights=(1, 3, 1, 1))[0]
        things.append(Thing(noun, colour, size, position))
    return Scene(tuple(things), rng.choice(SETTINGS))


def caption(scene: Scene, style: str | None = None) -> str:
    """The scene in words: "a large red boat on the left, sea", then ", flat style" if asked for."""
    phrases = [_phrase(thing, alone=len(scene.things) == 1) for thing in scene.things]
    text = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    text = f"{text}, {scene.setting}"
    return f"{text}, {style.replace('_', ' ')} style" if style else text


def _phrase(thing: Thing, alone: bool) -> str:
    place = dict(POSITION_WORDS).get(thing.position, "") if alone else ""
    if thing.noun in CHARACTERS:
        return f"{thing.noun}{place}"
    words = [thing.colour, thing.noun] if thing.size == "medium" else [thing.size, thing.colour, thing.noun]
    article = "an" if words[0][0] in "aeiou" else "a"
    return f"{article} {' '.join(words)}{place}"


def is_held_out(scene: Scene) -> bool:
    """True when any thing's (noun, colour, setting) is among the 6 % kept for evaluation.

    The same for ever and on every machine; sizes, positions and styles do not matter.
    """
    return any(_fraction(f"{thing.noun}|{thing.colour}|{scene.setting}") < HELD_OUT_SHARE for thing in scene.things)


def _fraction(text: str) -> float:
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
