"""Rewards of answers, one file each; several can be added with weights."""

import functools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.errors import UserError, unknown
from trainers.registry import discover
from trainers.rewards._reward import Answered, Rate, Reward

if TYPE_CHECKING:
    from trainers.protocols import LanguageModel

__all__ = ["Answered", "Rate", "Reward", "WeightedReward", "build_rewards", "parse_rewards", "reward_words", "rewards"]

_FORM = "NAME, NAME=WHAT or NAME=WHAT:WEIGHT"


@functools.cache
def rewards() -> Mapping[str, Reward]:
    """Return every reward by name."""
    return discover(sys.modules[__name__], "REWARD")


def reward_words() -> list[str]:
    """Return how every reward is written: ``facts``, ``short_answer=WORDS``."""
    return [name + (f"={reward.argument}" if reward.argument else "") for name, reward in rewards().items()]


@dataclass(frozen=True)
class WeightedReward:
    """One summand of what is rewarded."""

    reward: Reward
    argument: str
    weight: float

    def __str__(self) -> str:
        """Return it as it is written."""
        return self.reward.name + (f"={self.argument}" if self.argument else "") + f":{self.weight:g}"

    def with_argument(self, change: Callable[[Reward, str], str]) -> "WeightedReward":
        """Return it with another argument."""
        return replace(self, argument=change(self.reward, self.argument))

    def portable(self) -> "WeightedReward":
        """Return it without the folders of this machine."""
        bare = self.reward.is_path or self.reward.is_adapter
        return replace(self, argument=Path(self.argument).name) if bare else self


def parse_rewards(texts: Sequence[str]) -> list[WeightedReward]:
    """Read rewards such as ``polite_ending``, ``short_answer=12:0.5`` or ``adapter=my-reward:2``.

    Raises:
        UserError: there is none, a name is unknown, an argument is missing or too much, or a weight is no number.
    """
    if not texts:
        raise UserError(f"No reward is named. Write {_FORM}; there are: {', '.join(rewards())}.")
    found = [_parse(text) for text in texts]
    twice = [str(one) for n, one in enumerate(found) if any(one == other for other in found[:n])]
    if twice:
        raise UserError(f"The reward {twice[0]} is named twice. Give it once, with the sum of the weights.")
    return found


def _parse(text: str) -> WeightedReward:
    head, colon, tail = text.strip().rpartition(":")
    weighted = colon and _is_number(tail)
    spec, weight = (head, float(tail)) if weighted else (text.strip(), 1.0)
    name, _, argument = spec.partition("=")
    if colon and not weighted and "=" not in spec:
        raise UserError(f"The weight {tail!r} of the reward {text!r} is no number. Write {_FORM}.")
    if name not in rewards():
        raise unknown("Reward", name, rewards(), f"Write {_FORM}.")
    if not math.isfinite(weight) or not 0 < abs(weight) <= 1000:
        raise UserError(f"The weight of the reward {text!r} must be a number other than 0, up to 1000.")
    reward = rewards()[name]
    if argument and not reward.argument:
        raise UserError(f"The reward {name!r} takes nothing behind '=', and {text!r} gives {argument!r}.")
    if reward.argument and not (argument or reward.default):
        raise UserError(f"The reward {name!r} needs {reward.argument}, as in {name}={reward.argument}.")
    return WeightedReward(reward, argument or reward.default, weight)


def build_rewards(chosen: Sequence[WeightedReward], role: "LanguageModel | None") -> Rate:
    """Return the weighted sum of rewards as one function.

    Raises:
        UserError: one cannot be made, such as an adapter of another base; or, when it is called, an answer cannot be
            rated.
    """
    built = [(one.weight, one.reward.build(one.argument, role)) for one in chosen]

    def rate(answers: Sequence[Answered]) -> list[float]:
        columns = [[weight * value for value in own(answers)] for weight, own in built]
        return [sum(values) for values in zip(*columns, strict=True)]

    return rate


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
