"""Numbers as people write them in one field or flag: ``1,2,3``."""

from collections.abc import Callable

from trainers.errors import UserError


def numbers(text: str, kind: Callable[[str], float], what: str) -> list[float]:
    """Split ``1,2,3`` into numbers without repeats.

    Raises:
        UserError: an item is no number.
    """
    try:
        return list(dict.fromkeys(kind(item) for item in text.split(",")))
    except ValueError as error:
        raise UserError(f"{what} {text!r} cannot be read. Write numbers with commas, such as 0,0.5,1.") from error
