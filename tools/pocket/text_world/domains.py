"""What a variable of the grammar can be, with exact probabilities: a word of a list, or a made-up word."""

from __future__ import annotations

import math
import random
import re
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Protocol

Bindings = Mapping[str, str]

ONSETS = (
    *("", "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "y", "z"),
    *("qu", "bl", "br", "ch", "cl", "cr", "dr", "fl", "gr", "pl", "pr", "sh", "sl", "st", "str", "th", "tr", "wh"),
)
VOWELS = ("a", "e", "i", "o", "u", "y", "ai", "ea", "ee", "ie", "oa", "oo", "ou", "ow", "ay", "au")
CODAS = (
    *("", "", "", "n", "r", "l", "s", "t", "m", "d", "x", "ck", "nd", "st", "rd", "ng", "nt", "rr", "ss", "ll"),
    *("ght", "tion", "mp", "ve", "ble", "ty", "ke", "ze", "sk", "ft"),
)
SYLLABLES = ((1, 0.4), (2, 0.45), (3, 0.15))


class Domain(Protocol):
    """A distribution over words, which may depend on the variables that are bound already."""

    def sample(self, rng: random.Random, bindings: Bindings) -> str:
        """One value."""

    def matches(self, text: str, position: int, bindings: Bindings) -> Iterator[tuple[str, float]]:
        """The values that `text` may have at `position`, with the logarithm of their probabilities."""

    def values(self, bindings: Bindings, text: str = "") -> Iterator[tuple[str, float]]:
        """Every value with the logarithm of its probability, for a variable that is not shown as it is in `text`."""


class OneOf:
    """A word of a list, none that a variable of `unlike` has; weighted by `weights`, else all alike."""

    def __init__(
        self, words: Sequence[str], *, unlike: Sequence[str] = (), weights: Sequence[float] | None = None
    ) -> None:
        total = sum(weights) if weights else len(words)
        self.chances = {word: weight / total for word, weight in zip(words, weights or [1] * len(words), strict=True)}
        self.unlike = tuple(unlike)
        self._words = tuple(self.chances)
        self._logs = [(word, math.log(chance)) for word, chance in self.chances.items()]
        self._steps = list(accumulate(self.chances.values()))

    def sample(self, rng: random.Random, bindings: Bindings) -> str:
        """One value; drawn again while another variable has it."""
        taken = {bindings.get(name) for name in self.unlike}
        while True:
            word = self._words[min(bisect(self._steps, rng.random()), len(self._words) - 1)]
            if word not in taken:
                return word

    def values(self, bindings: Bindings, text: str = "") -> Iterator[tuple[str, float]]:
        """Every value that no other variable has, renormalised."""
        taken = {bindings[name] for name in self.unlike if name in bindings}
        left = math.log(1 - sum(self.chances.get(word, 0.0) for word in taken)) if taken else 0.0
        for word, log in self._logs:
            if word not in taken:
                yield word, log - left

    def matches(self, text: str, position: int, bindings: Bindings) -> Iterator[tuple[str, float]]:
        """The values that stand at `position`."""
        return ((word, log) for word, log in self.values(bindings) if text.startswith(word, position))


class PerWord:
    """A choice whose list depends on the value of one other variable, which is bound before."""

    def __init__(self, name: str, choices: Mapping[str, OneOf]) -> None:
        self.name, self.choices = name, choices

    def sample(self, rng: random.Random, bindings: Bindings) -> str:
        """One value of the list that counts."""
        return self.choices[bindings[self.name]].sample(rng, bindings)

    def values(self, bindings: Bindings, text: str = "") -> Iterator[tuple[str, float]]:
        """Every value; any of any list where the other variable is open, as in a sentence alone."""
        if self.name in bindings:
            yield from self.choices[bindings[self.name]].values(bindings)
            return
        seen = {word for choice in self.choices.values() for word in choice.chances}
        for word in sorted(seen):
            yield word, -math.log(len(seen))

    def matches(self, text: str, position: int, bindings: Bindings) -> Iterator[tuple[str, float]]:
        """The values that stand at `position`."""
        return ((word, chance) for word, chance in self.values(bindings) if text.startswith(word, position))


class MadeUp:
    """A word of one to three random syllables, in small letters, or a name with `known` ones among it.

    Such words make the model copy what it has never seen, and use every piece of its vocabulary.
    """

    WORD = re.compile(r"[a-z]+")
    NAME = re.compile(r"[A-Z][a-z]*")

    def __init__(
        self,
        known: Sequence[str] = (),
        *,
        made_up_share: float = 1.0,
        unlike: Sequence[str] = (),
        syllables: Sequence[tuple[int, float]] = SYLLABLES,
    ) -> None:
        self.known, self.share, self.unlike = tuple(known), made_up_share, tuple(unlike)
        self.syllables = tuple(syllables)
        self._pattern = self.NAME if known else self.WORD

    def sample(self, rng: random.Random, bindings: Bindings) -> str:
        """One value; drawn again while another variable has it."""
        taken = {bindings.get(name) for name in self.unlike}
        while True:
            if self.known and rng.random() >= self.share:
                word = rng.choice(self.known)
            else:
                word = made_up_word(rng, self.syllables)
                word = word.capitalize() if self.known else word
            if word not in taken:
                return word

    def probability(self, word: str) -> float:
        """Of the word, whatever is bound."""
        chance = (1 - self.share) / len(self.known) if word in self.known else 0.0
        return chance + self.share * made_up_probability(word.lower(), self.syllables)

    def matches(self, text: str, position: int, bindings: Bindings) -> Iterator[tuple[str, float]]:
        """The whole word at `position`, if it can be one."""
        found = self._pattern.match(text, position)
        if not found:
            return
        word = found[0]
        taken = {bindings[name] for name in self.unlike if name in bindings}
        chance = self.probability(word)
        if word not in taken and chance > 0:
            yield word, math.log(chance / (1 - sum(self.probability(other) for other in taken)))

    def values(self, bindings: Bindings, text: str = "") -> Iterator[tuple[str, float]]:
        """The known names and those in `text`: no other can be meant there, so that the sum over them is exact."""
        taken = {bindings[name] for name in self.unlike if name in bindings}
        left = 1 - sum(self.probability(other) for other in taken)
        for word in dict.fromkeys((*self.known, *self._pattern.findall(text))):
            chance = self.probability(word)
            if word not in taken and chance > 0:
                yield word, math.log(chance / left)


def made_up_word(rng: random.Random, syllables: Sequence[tuple[int, float]] = SYLLABLES) -> str:
    """One to three syllables of onset, vowel and coda; `syllables` holds the share of each number of them."""
    chance, count = rng.random(), 1
    for number, share in syllables:
        count = number
        chance -= share
        if chance < 0:
            break
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(count))


@lru_cache(maxsize=65536)
def made_up_probability(word: str, syllables: tuple[tuple[int, float], ...] = SYLLABLES) -> float:
    """Of a made-up word: the sum over all ways to cut it into syllables, times the chance of their number."""
    shares, one = dict(syllables), _one_syllable
    if shares.keys() == {1}:
        return shares[1] * one(word)
    ends = range(1, len(word))
    two = sum(one(word[:cut]) * one(word[cut:]) for cut in ends)
    three = sum(
        one(word[:cut]) * sum(one(word[cut:end]) * one(word[end:]) for end in range(cut + 1, len(word)))
        for cut in ends
        if one(word[:cut])
    )
    return sum(shares.get(number, 0.0) * chance for number, chance in enumerate((one(word), two, three), start=1))


def _shares(parts: Sequence[str]) -> dict[str, float]:
    return {part: parts.count(part) / len(parts) for part in parts}


@lru_cache(maxsize=65536)
def _one_syllable(text: str) -> float:
    onsets, vowels, codas = _share_tables()
    total = 0.0
    for first in range(min(4, len(text)) + 1):
        for second in range(first + 1, min(first + 3, len(text) + 1)):
            total += onsets.get(text[:first], 0) * vowels.get(text[first:second], 0) * codas.get(text[second:], 0)
    return total


@lru_cache(maxsize=1)
def _share_tables() -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    return _shares(ONSETS), _shares(VOWELS), _shares(CODAS)
