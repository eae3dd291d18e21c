"""What a tab's file states."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.app.shared.desk import Desk


@dataclass(frozen=True)
class Tab:
    """One tab of the app; its texts are in the locales, under keys that begin with its name, ``NAME.title`` first."""

    name: str
    """Its address: ``/?tab=NAME``, and the `to` of what other tabs send here."""
    position: int
    """Tabs stand in the order of these numbers."""
    build: Callable[["Desk"], None]
    """Called inside the open tab; places components and wires events. Nothing heavy may be imported here."""
