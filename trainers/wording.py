"""Lists and counts as they stand in a sentence."""

from collections.abc import Iterable, Sequence

LIMIT_LISTED = 10
"""How many of a long list are named."""


def listed(names: Iterable[str], limit: int = LIMIT_LISTED) -> str:
    """Return names with commas between them, of many the first ones and how many more there are."""
    found = list(names)
    rest = f" … and {len(found) - limit} more" if len(found) > limit else ""
    return ", ".join(found[:limit]) + rest


def nearest_multiples(value: float, step: float) -> str:
    """Return the multiples of a step below and above a value, such as ``576 or 640``; the step itself below that."""
    below = value // step * step
    return f"{below:g} or {below + step:g}" if below else f"{step:g}"


def count_of(number: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 step`` and ``3,000 steps``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def count_and_name(names: Sequence[str], noun: str, one: str, many: str) -> str:
    """Return a sentence such as ``2 files are not read: a, b.``, with the verb for one thing or for many."""
    return f"{count_of(len(names), noun)} {one if len(names) == 1 else many}: {listed(names)}."
