"""Seeds that are drawn: -1 stands for one, as in other programs, and what is kept is always the number drawn."""

import secrets

RANDOM_SEED = -1
"""Asks for a seed that is drawn."""
_BELOW = 2**31


def drawn_seed(seed: int) -> int:
    """Return a seed as it is, and for -1 a drawn one, 0 to 2³¹ - 1."""
    return secrets.randbelow(_BELOW) if seed == RANDOM_SEED else seed


def seed_from(text: str) -> int:
    """Return the seed that a text names, a drawn one for ``-1``.

    Raises:
        ValueError: it is no whole number.
    """
    return drawn_seed(int(text))
