"""What a reward's file states: a name, what may be said behind it, and the function that rates answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainers.data.texts import Message

if TYPE_CHECKING:
    from trainers.protocols import LanguageModel


@dataclass(frozen=True)
class Answered:
    """One answer to be rated."""

    messages: tuple[Message, ...]
    """The chat before it."""
    answer: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    """What else the prompt's row holds."""
    where: str = ""
    """File and line of the prompt."""


Rate = Callable[[Sequence[Answered]], list[float]]
"""Answers -> a finite number for each; more is better."""


@dataclass(frozen=True)
class Reward:
    """One way to rate answers, as facts."""

    name: str
    title: str
    build: "Callable[[str, LanguageModel | None], Rate]"
    """(what was said behind the name, the base) -> the function; raises UserError where it cannot be made."""
    argument: str = ""
    """What is said behind the name, such as ``WORDS``; empty where nothing is."""
    default: str = ""
    """What is taken where nothing is said; empty where something must be."""
    is_path: bool = False
    """Whether the argument is a file or folder, which a run keeps in full."""
    is_adapter: bool = False
    """Whether the argument is an adapter in the library, which a run keeps as its folder."""
