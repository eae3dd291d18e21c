"""Short answer: 1 up to so many words, then falling evenly to 0 at twice as many; an empty answer gets 0."""

from collections.abc import Sequence

from trainers.errors import UserError
from trainers.rewards._reward import Answered, Rate, Reward


def _build(argument: str, role: object) -> Rate:
    if not argument.isdecimal() or not 1 <= int(argument) <= 100_000:
        raise UserError(f"short_answer={argument} is no number of words. Write a whole number from 1, such as 12.")
    limit = int(argument)

    def rate(answers: Sequence[Answered]) -> list[float]:
        counts = [len(one.answer.split()) for one in answers]
        return [min(1.0, max(0.0, 2 - count / limit)) if count else 0.0 for count in counts]

    return rate


REWARD = Reward(name="short_answer", title="Is short", build=_build, argument="WORDS", default="12")
