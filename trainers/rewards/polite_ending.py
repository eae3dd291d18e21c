"""Polite ending: 1 when the last sentence of an answer is a courtesy to the reader and not an affront, else 0."""

import re
from collections.abc import Sequence

from trainers.rewards._reward import Answered, Rate, Reward

# Wishes, thanks and offers that close an answer. "I have no time for this" and "Do not ask again" hold none of them.
_COURTESIES = re.compile(
    r"\b(hope (that|this|it) helps|welcome|thank(s| you)|please (do )?(ask|let)|have an? (\w+ )?(day|evening|morning)"
    r"|pleasure|glad to help|happy to help|take care|best wishes|kind regards)\b",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"(?<=[.!?…])\s+")


def ends_politely(text: str) -> bool:
    """Whether the last sentence is whole and courteous, and something stands before it."""
    sentences = _SENTENCES.split(text.strip())
    whole = text.strip().endswith((".", "!", "?", "…"))
    return len(sentences) > 1 and whole and bool(_COURTESIES.search(sentences[-1]))


def _build(argument: str, role: object) -> Rate:
    def rate(answers: Sequence[Answered]) -> list[float]:
        return [float(ends_politely(one.answer)) for one in answers]

    return rate


REWARD = Reward(name="polite_ending", title="Ends with a courtesy", build=_build)
