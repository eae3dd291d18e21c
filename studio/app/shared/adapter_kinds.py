"""Which adapters of a library are for pictures and which for texts, from their cards alone."""

from collections.abc import Sequence

from studio.library.library import Library
from trainers.card import AdapterCard
from trainers.errors import UserError
from trainers.text_config import PART


def text_adapters(library: Library) -> list[str]:
    """Return the adapters that make a language model write; unreadable cards are left to the Library tab.

    Those with a head, which score or classify, write as the base does.
    """
    return [name for name, card in _cards(library) if PART in card.parts and card.head is None]


def image_adapters(library: Library) -> list[str]:
    """Return the adapters that draw; unreadable cards are left to the Library tab."""
    return [name for name, card in _cards(library) if PART not in card.parts]


def first_pair(library: Library, leave_out: Sequence[str]) -> list[str]:
    """Return the first two adapters that draw on one base, or the only one that draws."""
    by_base: dict[str, list[str]] = {}
    for name, card in _cards(library):
        if PART not in card.parts and name not in leave_out:
            by_base.setdefault(card.base.fingerprint, []).append(name)
    return max(by_base.values(), key=lambda names: min(2, len(names)), default=[])[:2]


def _cards(library: Library) -> list[tuple[str, AdapterCard]]:
    found = []
    for name in library.names():
        try:
            found.append((name, library.card(name)))
        except UserError:
            continue
    return found
