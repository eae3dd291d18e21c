"""What a stage's file states: which data it learns from, and the task that it makes of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict

from trainers.roles import Task

if TYPE_CHECKING:
    from trainers.data.chat import Encoded
    from trainers.data.texts import TextRow
    from trainers.roles import LanguageModel
    from trainers.text_config import TextConfig


class TextTask(Task, Protocol):
    """A task on texts, with what is told of it and measured on the way."""

    examples: "Sequence[Encoded]"
    """What is seen in training, as the preview shows it."""
    places: Sequence[str]
    """Where each of them is from: file and line."""
    lengths: Sequence[int]
    """Tokens of every row, before anything was cut."""
    notes: Sequence[str]
    """What a user should know of the data, a sentence each."""

    def facts(self) -> Mapping[str, str]:
        """Return what is told of the data: short label -> finding."""
        ...

    def prompts(self, count: int) -> "list[TextRow]":
        """Return beginnings from the data to be gone on with as samples: chats without their answers, or first words.

        Fewer where there are fewer.
        """
        ...

    def validation_loss(self, rows: "Sequence[TextRow]") -> float:
        """Return the loss over other rows, all of them, without dropout or anything else random."""
        ...


class StageSettings(BaseModel):
    """Base of every stage's settings, and those of a stage that has none: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Stage:
    """One way to learn from texts, as facts."""

    name: str
    """The word used in commands; the name of the file."""
    title: str
    forms: tuple[str, ...]
    """Forms of data that it takes, by their names in `trainers.data.texts.FORMS`."""
    task: "Callable[[TextConfig, Any, LanguageModel, Sequence[TextRow]], TextTask]"
    """(run's settings, stage's settings, base, rows) -> the task; it refuses rows that it cannot use."""
    settings: type[StageSettings] = StageSettings
    """What only this stage asks; field descriptions are help text and form labels."""
