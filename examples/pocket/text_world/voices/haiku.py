"""Haiku that answer: three lines of five, seven and five syllables, counted by a table of the world's words."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from functools import cache

from .lessons import Lesson, fill

# Each word under its number of syllables; a word that is missing is an error, not a guess.
_SYLLABLES: Mapping[int, str] = {
    1: """a an and at in is it me my no of on or the to we who with are all as by for from so than that their there they this
        through blue green teal pink brown black white grey red
        boat car train house tree star heart fish cat bird snail cup clock chair lamp bell key kite hat crown
        boats cars trains trees stars hearts cats birds snails cups clocks chairs lamps bells keys kites hats crowns
        sea beach night space snow cave room sky two three four five six eight nine
        sad calm scared day dawn dusk mist rain wind leaf light moon sun cloud breath drifts falls fades glows grows
        here hums lies long low rests rest sighs sings sit sits sleep sleeps slow small soft soul still stone waits wait
        what year years time dream dreams drift fall fade glow grow hush hum lie look now one pale song warm cool old deep
        heart's path pond spring frost dew pine crane crickets' seen found shine shines bright feels shows
        """,
    2: """over under orange yellow purple rocket rockets castle flower flowers mushroom mushrooms cactus apple apples turtle
        turtles robot robots teapot teapots balloon balloons houses guitar guitars anchor anchors mountains forest desert
        meadow city seven happy angry autumn summer winter morning evening silent quiet gentle petals petal whisper
        whispers water river shadow shadows ripple ripples softly slowly lightly only waiting resting drifting dreaming
        falling listens listen lantern blossom blossoms distant above below within alone cricket wanders wander silver
        again without a-glow passes heron willow feather cherry moonlight sunlight twilight
        castles cacti fishes morning's endless nothing moment
        """,
    3: """bicycle bicycles butterfly lighthouses umbrella umbrellas butterflies dragonfly quietly silently
        """,
}
_SPECIAL = {"lighthouse": 2, "butterfly": 3}
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
_MORE = {
    1: "see look lifts takes flight grass stones beats down gleams",
    2: "autumn's answer",
}


@cache
def _table() -> dict[str, int]:
    counts = {word: count for rows in (_SYLLABLES, _MORE) for count, text in rows.items() for word in text.split()}
    return counts | _SPECIAL


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
