"""What a kind of run states: its settings, what is told before it starts, and its work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from studio.library.library import Library
    from studio.runs.control import Control
    from studio.runs.run import Journal, Run


@dataclass(frozen=True)
class Preflight:
    """What is known of a run before it starts."""

    facts: Mapping[str, str] = field(default_factory=dict)
    """Short label -> finding, in the order in which they are shown."""
    problems: Sequence[str] = ()
    """Why it cannot start, a sentence each; empty when it can."""
    notes: Sequence[str] = ()
    """What a user should know, a sentence each."""


@dataclass(frozen=True)
class RunKind:
    """One kind of run. The queue, the form and the command line know nothing else of it."""

    name: str
    """As the settings' field `kind` holds it."""
    title: str
    settings: type[BaseModel]
    """Frozen, with at least `kind`, `name` and `device`; field descriptions are the form's help."""
    parse: Callable[[Mapping[str, Any]], Any]
    """Plain values -> checked settings; raises UserError listing every problem."""
    prepare: Callable[[Any, "Library"], Any]
    """Settings as they are kept in the run's folder: every path absolute, every name of an adapter resolved."""
    preflight: Callable[[Any, "Library"], Preflight]
    """What is told before it starts; loads what it must, so it is called where loading may take a while."""
    work: Callable[["Run", "Journal", "Control"], Path | None]
    """Do what is left; return the result's folder, or None when it was stopped before its end."""
    front: Sequence[str] = ()
    """The settings that a form shows unfolded, in order."""
    list_parts: Callable[[], Sequence[str]] = tuple
    """Gives the parts that its methods can attach to; none for a kind that trains no adapter."""
    parts_of_base: Callable[[str], Sequence[str]] | None = None
    """Name of a base -> those of `parts` that it has, as far as that can be told without loading it; None where every
    base has all of them."""
    default_parts: Callable[[str], Sequence[str]] = lambda base: ()
    """Name of a base -> the parts that are trained when none is named."""
    variants: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """A setting that holds settings of its own -> (the setting whose choice says which ones, the catalogue's list where
    they stand)."""
    tried_in: str = ""
    """Name of the tab in which the result is tried; empty where there is none."""
    tried_by: Callable[[Any, "Library"], str] | None = None
    """The run's settings and the library with its result -> the command that tries it; None where there is none."""
    examples: Sequence[str] = ()
    """The groups of example data that it can learn from, such as ``styles``: folders of `examples/`."""
    command: str = ""
    """The subcommand that starts it, such as ``train``."""

    @property
    def parts(self) -> Sequence[str]:
        """The parts that its methods can attach to; none for a kind that trains no adapter."""
        return self.list_parts()

    def parts_of(self, base: str) -> Sequence[str]:
        """Return the parts to offer for a base."""
        return self.parts if self.parts_of_base is None else self.parts_of_base(base)
