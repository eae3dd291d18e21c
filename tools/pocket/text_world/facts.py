"""What a question asks for, and whether an answer in any voice says it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from . import words

# The words that answer each kind of question; an answer must hold the right one and none of the others.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "colour": words.COLOURS,
    "place": tuple(words.PLACES),
    "number": words.NUMBERS,
    "mood": words.MOODS,
    "thing": tuple(words.NOUNS),
    "name": (*words.SHE, *words.HE),
}


def says(kind: str, answer: str, text: str, *, also: str = "") -> bool:
    """Whether `text` gives `answer` and no other word of its kind.

    Plural nouns count as their singular; words in `also`, such as those of the question, may occur besides. A number
    may not stand as a figure.
    """
    found = set(re.findall(r"[a-z]+", text.lower()))
    allowed = set(re.findall(r"[a-z]+", also.lower()))
    singular = {plural: noun for noun, plural in words.PLURALS.items()}
    found = {singular.get(word, word) for word in found} if kind == "thing" else found
    others = {word.lower() for word in CHOICES[kind]} - {answer.lower()} - allowed
    return answer.lower() in found and not others & found


def answers_right(example: Mapping[str, object], text: str) -> bool:
    """Whether `text` answers a voice example's question: its `fact` holds the kind and the right word.

    Raises KeyError for an example without a fact.
    """
    fact = example["fact"]
    if not isinstance(fact, Mapping):
        raise KeyError(f"an example's fact is a kind and an answer, not {fact!r}")
    return says(str(fact["kind"]), str(fact["answer"]), text)


def prompt_is_valid(wish: Mapping[str, str], prompt: str) -> bool:
    """Whether a prompt is one that the picture model was trained on, and keeps what the wish names.

    `wish` holds what was asked for: `noun1`, `colour1`, `noun2`, `colour2`, `setting`, `style`, each if named.
    """
    sized = rf"an? (?:(?:small|large) )?({'|'.join(words.COLOURS)}) ({'|'.join(words.NOUNS)})"
    side = "|".join(words.SIDES)
    form = re.compile(
        rf"{sized}(?:{side})?(?:, {sized})?(?: and {sized})?, ({'|'.join(words.PLACES)})"
        rf"(?:, ({'|'.join(style.replace('_', ' ') for style in words.BASE_STYLES)}) style)?"
    )
    found = form.fullmatch(prompt.strip())
    if not found:
        return False
    pairs = [(found[number], found[number + 1]) for number in (1, 3, 5) if found[number]]
    wanted = [(wish.get(f"colour{number}"), wish[f"noun{number}"]) for number in (1, 2) if f"noun{number}" in wish]
    kept = all(any(noun == other and colour in (None, shade) for shade, other in pairs) for colour, noun in wanted)
    place = wish.get("setting") in (None, found[7])
    return kept and place and wish.get("style") in (None, found[8])
