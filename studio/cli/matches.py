"""What the commands that read adapters of other programs say about their names."""

from collections.abc import Mapping, Sequence


def counted(title: str, matched: Mapping[str, int], unmatched: Sequence[str], base: str) -> list[str]:
    """Return what was read and how much of it the base has."""
    by_part = ", ".join(f"{count} in {part}" for part, count in matched.items())
    lines = [f"Read as {title}: {by_part or 'none'} matched the base {base!r}, {len(unmatched)} did not."]
    return lines + [f"  without a place: {name}" for name in list(unmatched)[:10]]
