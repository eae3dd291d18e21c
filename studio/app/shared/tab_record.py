"""What a tab's file states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.app.shared.desk import Desk


@dataclass(frozen=True)
class Tab:
    """One tab of the app."""

    name: str
    """Its address: ``/?tab=NAME``, and the `to` of what other tabs send here."""
    position: int
    """Tabs stand in the order of these numbers."""
    build: Callable[["Desk"], None]
    """Called inside the open tab; places components and wires events. Nothing heavy may be imported here."""
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Key -> (English, Traditional Chinese). Keys begin with the tab's name and a dot; ``NAME.title`` is the tab's."""
