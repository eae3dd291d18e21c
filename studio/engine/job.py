"""What a job of the inference process states, and what it may use."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.engine.workbench import Workbench

Event = Mapping[str, Any]
"""Plain JSON. What a job yields reaches the page as it is."""


class Cancelled(Exception):
    """The user took the job back."""


@dataclass(frozen=True)
class Job:
    """One kind of work of the inference process."""

    name: str
    run: Callable[["Workbench", Mapping[str, Any]], Iterator[Event]]
    """(workbench, arguments as plain JSON) -> events. Progress is told through the workbench, which also raises
    `Cancelled` there; a UserError is told as its sentence."""
