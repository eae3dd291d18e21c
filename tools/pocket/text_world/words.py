"""The words of the pocket world: what the pictures know, and the people, numbers and moods of the texts.

Nouns, colours, settings and styles are those of `world`, which needs Pillow and is therefore not imported here; a test
compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Noun: plural, and the settings that a prompt puts it into.
_NOUN_ROWS = """
boat: boats: sea beach
car: cars: city desert
rocket: rockets: space night
train: trains: mountains snow
bicycle: bicycles: city meadow
balloon: balloons: meadow mountains
house: houses: meadow snow
castle: castles: mountains forest
lighthouse: lighthouses: sea beach
tree: trees: forest meadow
star: stars: night space
flower: flowers: meadow forest
mushroom: mushrooms: forest cave
cactus: cacti: desert room
apple: apples: room meadow
heart: hearts: night city
butterfly: butterflies: meadow forest
fish: fish: sea cave
cat: cats: room city
bird: birds: forest sea
snail: snails: meadow forest
turtle: turtles: beach sea
robot: robots: space city
teapot: teapots: room cave
cup: cups: room beach
clock: clocks: room city
chair: chairs: room beach
lamp: lamps: room night
umbrella: umbrellas: beach city
bell: bells: mountains snow
guitar: guitars: desert room
key: keys: cave room
kite: kites: beach mountains
hat: hats: snow desert
crown: crowns: cave night
anchor: anchors: beach sea
"""


def _noun_table() -> dict[str, tuple[str, tuple[str, ...]]]:
    table = {}
    for row in _NOUN_ROWS.strip().splitlines():
        noun, plural, settings = row.split(": ")
        table[noun] = (plural, tuple(settings.split()))
    return table


NOUNS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(_noun_table())
PLURALS: Mapping[str, str] = MappingProxyType({noun: row[0] for noun, row in NOUNS.items()})
COLOURS: tuple[str, ...] = (
    *("red", "orange", "yellow", "green", "teal", "blue"),
    *("purple", "pink", "brown", "black", "white", "grey"),
)
PLACES: Mapping[str, str] = MappingProxyType(
    {
        "sea": "on the sea",
        "beach": "on the beach",
        "night": "under the night sky",
        "space": "in space",
        "snow": "in the snow",
        "mountains": "in the mountains",
        "forest": "in the forest",
        "desert": "in the desert",
        "meadow": "in the meadow",
        "cave": "in the cave",
        "city": "in the city",
        "room": "in the room",
    }
)
BASE_STYLES: tuple[str, ...] = (
    *("flat", "cartoon", "charcoal", "crayon", "felt_pen", "gradient", "ink", "low_poly", "midnight", "mosaic"),
    *("oil", "paper_cut", "pastel", "pencil", "pointillist", "scratchboard", "sepia", "sketch", "soft_focus"),
)
NAMED_STYLES: tuple[str, ...] = tuple(style.replace("_", " ") for style in BASE_STYLES if style != "flat")
SIZES: tuple[str, ...] = ("small ", "", "large ")
SIDES: tuple[str, ...] = (" on the left", " on the right", " at the top")
NUMBERS: tuple[str, ...] = ("two", "three", "four", "five", "six", "seven", "eight", "nine")

SHE: tuple[str, ...] = ("Mia", "Ada", "Lily", "Nora", "Ruby", "Ella", "Iris", "Zoe", "Anna", "Clara", "Rosa", "Tess")
HE: tuple[str, ...] = ("Tom", "Ben", "Max", "Sam", "Leo", "Finn", "Hugo", "Otto", "Jack", "Karl", "Paul", "Emil")
MOODS: tuple[str, ...] = ("happy", "sad", "angry", "scared", "calm")
TIMES: tuple[str, ...] = ("morning", "day", "afternoon", "evening", "night")
SKIES: tuple[str, ...] = (
    "The sun is warm",
    "The wind is cold",
    "A soft rain falls",
    "The sky is grey",
    "The sky is clear",
    "The air is still",
    "The moon is bright",
    "A cloud drifts by",
)


def article(word: str) -> str:
    """a or an, by the first letter."""
    return "an" if word[0] in "aeiou" else "a"


def with_article(phrase: str) -> str:
    """ "an orange" from "orange"."""
    return f"{article(phrase)} {phrase}"


def pronoun(name: str) -> str:
    """she or he; a made-up name stands for itself."""
    return "she" if name in SHE else "he" if name in HE else name


def pronoun_possessive(name: str) -> str:
    """her or his; a made-up name takes 's."""
    return "her" if name in SHE else "his" if name in HE else f"{name}'s"
