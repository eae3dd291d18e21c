"""What of a user's data is not learned from: counted and named by one function for pictures and texts alike."""

from collections.abc import Mapping, Sequence

from trainers.wording import listed

_NAMED = 5


def passed_over(found: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a sentence for every reason: how many things are passed over for it, and the names of the first.

    Args:
        found: what they are and why, such as ``pictures in folders below`` -> their names, each once; reasons
            without a name say nothing.
    """
    return [
        f"Passed over: {reason}: {len(names):,} ({listed(names, _NAMED)})." for reason, names in found.items() if names
    ]
