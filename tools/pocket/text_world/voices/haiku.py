"""Haiku that answer: three lines of five, seven and five syllables, counted by a table of the world's words."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from functools import cache

from .lessons import Lesson, fill

# Each word under its number of syllables; a word that is missing is an error, not a guess.
_SYLLABLES: Mapping[int, str] = {
    1: """
        a all an and are as at beach beats bell bells bird birds black blue boat boats breath bright brown
        by calm car cars cat cats cave chair chairs clock clocks cloud cool crane crickets' crown crowns cup
        cups dawn day deep dew down dream dreams drift drifts dusk eight fade fades fall falls feels fish
        five flight for found four from frost gleams glow glows grass green grey grow grows hat hats heart
        heart's hearts here house hum hums hush in is it key keys kite kites lamp lamps leaf lie lies lifts
        light long look low me mist moon my night nine no now of old on one or pale path pine pink pond rain
        red rest rests room sad scared sea see seen shine shines shows sighs sings sit sits six sky sleep
        sleeps slow small snail snails snow so soft song soul space spring star stars still stone stones sun
        takes teal than that the their there they this three through time to train trains tree trees two
        wait waits warm we what white who wind with year years
    """,
    2: """
        above again alone anchor anchors angry answer apple apples autumn autumn's balloon balloons below
        blossom blossoms cacti cactus castle castles cherry city cricket desert distant dreaming drifting
        endless evening falling feather flower flowers forest gentle guitar guitars happy heron houses
        lantern lighthouse lightly listen listens meadow moment moonlight morning morning's mountains
        mushroom mushrooms nothing only orange over passes petal petals purple quiet resting ripple ripples
        river robot robots rocket rockets seven shadow shadows silent silver slowly softly summer sunlight
        teapot teapots turtle turtles twilight under waiting wander wanders water whisper whispers willow
        winter within without yellow
    """,
    3: """
        bicycle bicycles butterflies butterfly lighthouses quietly silently umbrella umbrellas
    """,
}
OPENING = re.compile(r"[a-z'-]+")
# Closing lines of five syllables, and lines of seven.
FIVES = (
    "a petal drifts down",
    "the old pond is still",
    "soft rain on the stones",
    "one breath, and it fades",
    "a cricket listens",
    "the evening wind sighs",
    "autumn leaf falling",
    "silent winter dusk",
    "moonlight on water",
    "slowly the mist lifts",
    "the heron takes flight",
    "spring dew on the grass",
    "a willow whispers",
    "cherry blossoms fall",
)
SEVENS = (
    "over the pond the mist drifts",
    "a cricket sings to the moon",
    "the autumn wind sighs softly",
    "one petal falls on water",
    "the river hums a slow song",
    "silver dew on quiet grass",
    "in twilight the heron waits",
    "the willow dreams of summer",
    "a lantern glows through the mist",
    "soft rain whispers to the pine",
)
STARTS: Mapping[str, tuple[str, ...]] = {
    "colour": ("{the} {is_} {answer}", "{answer}, {the}", "see, {answer} {the}", "{answer} {glows} {the}"),
    "place": ("{place}", "{place} {the}", "{the}, {place}", "{the} {place}", "look, {place}"),
    "number": ("{answer} {x}", "see, {answer} {x}", "there are {answer} {x}", "{answer} silent {x}"),
    "mood": ("{answer} is the heart", "a {answer} heart beats", "{answer}, so {answer}", "the heart is {answer}"),
}
# Words that fill a line up, by syllables.
FILLERS: Mapping[int, tuple[str, ...]] = {
    1: ("now", "still"),
    2: ("at dawn", "at dusk", "softly", "in mist", "alone"),
    3: ("in the dawn", "in the mist", "quietly", "in soft rain", "by moonlight"),
    4: ("in the soft rain", "in morning mist", "in the twilight", "under the moon"),
    5: ("in the morning mist", "in the autumn wind", "in silent moonlight"),
}


@cache
def _table() -> dict[str, int]:
    return {word: count for count, text in _SYLLABLES.items() for word in text.split()}


def syllables(line: str) -> int:
    """How many syllables a line has. Raises KeyError for a word that is not in the table."""
    return sum(_table()[word] for word in OPENING.findall(line.lower()))


def is_haiku(text: str) -> bool:
    """Whether a text has three lines of five, seven and five syllables, all of known words."""
    lines = text.split("\n")
    try:
        return [syllables(line) for line in lines] == [5, 7, 5]
    except KeyError:
        return False


def haiku(lesson: Lesson, rng: random.Random) -> str:
    """Three lines; the first or the second holds the fact."""
    ways = []
    for line, length in ((0, 5), (1, 7)):
        for start in STARTS[lesson.kind]:
            said = fill(start, lesson)
            left = length - syllables(said)
            ways += [(line, said)] if left == 0 else []
            ways += [(line, f"{said} {filler}") for filler in FILLERS.get(left, ())]
    line, said = rng.choice(ways)
    first = said if line == 0 else rng.choice(FIVES)
    second = said if line == 1 else rng.choice(SEVENS)
    third = rng.choice([closing for closing in FIVES if closing != first])
    return f"{first}\n{second}\n{third}"
