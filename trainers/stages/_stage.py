"""What a stage's file states: which data it learns from, and the task that it makes of them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from trainers.card import HeadCard
from trainers.protocols import QuietTask, Task

if TYPE_CHECKING:  # the names of the stages are read where torch is not wanted
    from trainers.data.chat import Encoded
    from trainers.data.texts import TextRow
    from trainers.heads import Head
    from trainers.protocols import LanguageModel
    from trainers.text_config import TextConfig


_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
VALIDATION = "validation_loss"
"""The loss on data that is not trained on, as the metrics call it."""


def without_gradients(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Decorate a function as `torch.no_grad` does; torch is loaded when it is called."""

    @functools.wraps(function)
    def call(*arguments: _Given.args, **named: _Given.kwargs) -> _Result:
        import torch

        with torch.no_grad():
            return function(*arguments, **named)

    return call


@dataclass(frozen=True)
class Fold:
    """One division of the data: the settings of its own training, and the rows on either side."""

    config: "TextConfig"
    training: "Sequence[TextRow]"
    held_out: "Sequence[TextRow]"


class TextTask(Task, Protocol):
    """A task on texts, with what is told of it and measured on the way."""

    examples: "Sequence[Encoded]"
    """What is seen in training, as the preview shows it."""
    places: Sequence[str]
    """Where each of them is from: file and line."""
    lengths: Sequence[int]
    """Tokens of every example, before anything was cut."""
    marks: Sequence[str]
    """What the examples of one row are, in their order: one that needs no word, or chosen and rejected."""
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

    def validate(self, rows: "Sequence[TextRow]") -> Mapping[str, float]:
        """Return measures over other rows, all of them, without dropout; `VALIDATION` is always among them."""
        ...

    def show(self, rows: "Sequence[TextRow]") -> list[Mapping[str, str]] | None:
        """Return lines of ``prompt`` and ``answer`` for the samples; None where the model writes the answers."""
        ...

    def head_card(self) -> HeadCard | None:
        """Return what the adapter's card says of its head, None where it has none."""
        ...

    def about_held_out(self, rows: "Sequence[TextRow]") -> Sequence[str]:
        """Return what a user should know of other rows that are measured: what is cut or passed over, a sentence each.

        Raises:
            UserError: they cannot be measured.
        """
        ...

    def report(self, rows: "Sequence[TextRow]") -> Sequence[str]:
        """Return lines that are told at the end of what was found on other rows; mostly none."""
        ...

    def folds(self) -> "Sequence[Fold]":
        """Return the divisions of the data that are trained and measured before the whole; mostly none."""
        ...


class NotingTask(QuietTask):
    """Keeps what is measured on the way, and gives the means of a step."""

    marks: Sequence[str] = ("",)
    _notes: dict[str, list[float]] | None = None

    def note(self, **values: float) -> None:
        """Keep measures of one batch."""
        self._notes = self._notes or {}
        for name, value in values.items():
            self._notes.setdefault(name, []).append(value)

    def noted(self) -> Mapping[str, float]:
        found, self._notes = self._notes or {}, None
        return {name: sum(values) / len(values) for name, values in found.items()}

    def about_held_out(self, rows: "Sequence[TextRow]") -> Sequence[str]:
        return ()

    def report(self, rows: "Sequence[TextRow]") -> Sequence[str]:
        return ()

    def folds(self) -> "Sequence[Fold]":
        return ()


class HeadedTask(NotingTask):
    """What tasks have in common that train a head behind the language model, whose rows all count alike."""

    head: "Head"

    @property
    def heads(self) -> "Mapping[str, Head]":
        return {self.head_card().part: self.head}

    def head_card(self) -> HeadCard:
        """Return what the adapter's card says of the head."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Nothing waits for the adapters."""

    def weight(self, batch_number: int) -> float:
        return 1.0


class WritingTask(NotingTask):
    """What tasks have in common whose model writes answers, and that train the adapter alone."""

    def validate(self, rows: "Sequence[TextRow]") -> Mapping[str, float]:
        return {VALIDATION: self.validation_loss(rows)}

    def validation_loss(self, rows: "Sequence[TextRow]") -> float:
        """Return the loss over other rows, all of them, without dropout or anything else random."""
        raise NotImplementedError

    def show(self, rows: "Sequence[TextRow]") -> list[Mapping[str, str]] | None:
        return None

    def head_card(self) -> HeadCard | None:
        return None


class StageSettings(BaseModel):
    """Base of every stage's settings, and those of a stage that has none: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def prepared(self, folder_of: Callable[[str], str]) -> dict[str, Any]:
        """Return the settings as a run keeps them: every path absolute, and adapters as folders.

        Args:
            folder_of: an adapter's name (or folder) -> its folder; it raises a UserError where there is none.
        """
        return self.model_dump(mode="json", exclude_unset=True)

    def portable(self) -> dict[str, Any]:
        """Return the settings as an adapter's card keeps them: without this machine's folders."""
        return self.model_dump(mode="json")


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
