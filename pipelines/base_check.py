"""Whether an adapter belongs on a base, by their cards alone."""

from typing import TYPE_CHECKING

from trainers.card import AdapterCard
from trainers.errors import UserError

if TYPE_CHECKING:
    from pipelines.families import LoadedBase


def check_base(base: "LoadedBase", card: AdapterCard) -> None:
    """Refuse an adapter of a base with another family or shape.

    Raises:
        UserError: naming both bases and what differs.
    """
    if card.base.family != base.family:
        raise UserError(
            f"The adapter {card.name!r} belongs to the base {card.base.name!r} of family {card.base.family!r}; "
            f"{base.name!r} is of family {base.family!r}. Use it on the base that it was made for."
        )
    differing = [
        f"{key.replace('_', ' ')} {card.base.widths.get(key, 'unknown')} instead of {value}"
        for key, value in base.widths.items()
        if card.base.widths.get(key) != value
    ]
    missing = [part for part in card.parts if part not in base.parts]
    if differing or missing:
        differing += [f"a part {part!r}, which {base.name!r} lacks" for part in missing]
        raise UserError(
            f"The adapter {card.name!r} belongs to the base {card.base.name!r}, which does not fit {base.name!r}: "
            f"it has {', '.join(differing)}. Use it on the base that it was made for."
        )
