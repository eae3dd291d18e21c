"""Facts: 1 when the answer holds the word that the row's ``fact`` (or ``answer``) column gives, else 0."""

import re
from collections.abc import Mapping, Sequence

from trainers.errors import UserError
from trainers.rewards._reward import Answered, Rate, Reward


def _wanted(one: Answered) -> str:
    fact = one.columns.get("fact", one.columns.get("answer"))
    found = fact.get("answer") if isinstance(fact, Mapping) else fact
    if not isinstance(found, str) or not found.strip():
        raise UserError(
            f"{one.where or 'A prompt'} has no fact to check an answer by. The reward 'facts' wants a column "
            '"answer": "red", or "fact": {"answer": "red"}, in every row.'
        )
    return found


def _build(argument: str, role: object) -> Rate:
    def rate(answers: Sequence[Answered]) -> list[float]:
        return [float(_says(_wanted(one), one.answer)) for one in answers]

    return rate


def _says(wanted: str, answer: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(wanted.strip())}(?!\w)", answer, re.IGNORECASE))


REWARD = Reward(name="facts", title="Says the row's fact", build=_build)
