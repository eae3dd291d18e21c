"""What a method's file states: one frozen record, one documented settings class, and what it does while it learns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from trainers.errors import UserError
from trainers.parts import PartKind, kind_of

if TYPE_CHECKING:  # the settings of a run are read without loading torch
    import torch
    from torch import Tensor, nn

ResolveTargets = Callable[[Sequence[str]], tuple[str, ...]]
"""Turns kinds of layers (``attention`` …) into a part's literal module names; other words pass through."""

Folded = tuple[dict[str, Any], "dict[str, Tensor]"]
"""A part's PEFT config (as plain JSON) and tensors (under PEFT's keys), as they are saved."""

ADAPTERS: dict[str, Any] = {"adapters": True}
"""The ``json_schema_extra`` of a setting that names other adapters: by folder, or by name in the library."""

TIMES_THE_DELTA = "w times the weight delta, exactly"
BETWEEN = "each layer's output moves w of the way from the base's to the adapted one's; several adapters' ways add up"


class MethodSettings(BaseModel):
    """Base of every method's settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def naming_adapters(cls) -> list[str]:
        """Return the names of the settings that name other adapters."""
        return [name for name, field in cls.model_fields.items() if field.json_schema_extra == ADAPTERS]


@dataclass(frozen=True)
class Recommendation:
    """What `--method NAME` alone uses on one part."""

    learning_rate: float
    """Step size of AdamW."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the method's defaults on this part."""
    pocket_rate: float | None = None
    """Step size on the shipped pocket language model, which is ten times narrower than usual ones; None is no other."""

    def rate_on_pocket(self) -> float:
        """Return the step size on a shipped pocket base."""
        return self.learning_rate if self.pocket_rate is None else self.pocket_rate


@dataclass(frozen=True)
class Fresh:
    """One adapter just attached, as a method's `prepare` sees it."""

    module: "nn.Module"
    """The part that carries the adapter."""
    adapter: str
    """The adapter's name on the module."""
    settings: Any
    """The method's checked settings."""
    resolve: ResolveTargets
    token_ids: Callable[[str], Sequence[int]]
    """A text -> its words' numbers in the part's vocabulary; a part that reads no text raises a `UserError`."""


@dataclass(frozen=True)
class Learner:
    """One attached adapter while it is trained, as a method's functions see it."""

    module: "nn.Module"
    """The part that carries the adapter."""
    adapter: str
    """The adapter's name on the module."""
    settings: Any
    """The method's checked settings."""
    steps: int
    """Length of the whole run."""


class Course:
    """What a method does in training beside its forward. This one does nothing; a method overrides what it needs.

    The state must be all that the remaining steps depend on, so that a resumed run is bit-equal.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def before_step(self, step: int, generator: "torch.Generator") -> None:
        """Prepare step `step` (from 0), with a generator of the step's own."""

    def penalty(self) -> "Tensor | None":
        """Return a scalar that is added to the loss of every batch, or None."""
        return None

    def after_step(self, step: int, *, skipped: bool) -> None:
        """Follow the optimizer in step `step` (from 0), while the gradients are there; `skipped`: it did nothing."""

    def state(self) -> "dict[str, Tensor]":
        """Return what a checkpoint must hold."""
        return {}

    def restore(self, state: "Mapping[str, Tensor]") -> None:
        """Put the state of a checkpoint back."""


@dataclass(frozen=True)
class Method:
    """One parameter-efficient method, as facts."""

    name: str
    """The word used in commands, configs and files."""
    title: str
    """The name in running text."""
    source: str
    """Paper and equation."""
    settings: type[MethodSettings]
    """The class of its settings; its field descriptions are help text, form labels and documentation."""
    recommended: Mapping[PartKind, Recommendation]
    """By kind of part; the kinds it fits are the keys."""
    peft_config: Callable[[Any, ResolveTargets], Any]
    """(settings, resolver) -> the PEFT config that attaches it."""
    mergeable: bool
    """Whether its effect is a weight delta that can be added into the base."""
    live_weight: str = TIMES_THE_DELTA
    """What the live weight w of an attached adapter means; 0 is the base bit for bit, 1 the plain method."""
    merge_tolerance: float = 1e-5
    """Largest relative difference between the merged base and the live adapter, in float32."""
    needs_studio: bool = False
    """Whether the saved parts can be loaded by this project alone; else plain PEFT loads them."""
    transposed: bool = True
    """Whether it fits linear layers that are stored transposed, as GPT-2's are."""
    starts_changed: str = ""
    """Why a fresh adapter already changes the output; empty where it does not."""
    prepare: Callable[[Fresh], None] | None = None
    """Called once after a fresh attach, for beginnings that PEFT does not offer."""
    rate_factor: Callable[[str, Any], float] | None = None
    """(parameter's path in the module, settings) -> factor on the part's learning rate."""
    course: Callable[[Learner], Course] = Course
    """What it does in training beside its forward."""
    trigger: Callable[[Any], str] | None = None
    """settings -> what captions and prompts must hold for the adapter to act, where it does not always act."""
    loads_changed: str = ""
    """Why a loaded adapter acts differently from the one that was trained; empty where it does not."""
    merges_not: str = "what it adds depends on the input or is more input, so no weight of the base can hold it"
    """Why it cannot be merged, where it cannot."""
    lacks: Mapping[PartKind, str] = field(default_factory=dict)
    """By kind of part that it does not fit: the reason."""
    fold: "Callable[[dict[str, Any], dict[str, Tensor]], Folded] | None" = None
    """(config, tensors) as trained -> as saved, with the same effect: what only training needed is left out."""
    shrinks: bool = False
    """Whether training decides how small the saved file becomes, so that only its largest size is known before."""

    @property
    def kinds(self) -> tuple[PartKind, ...]:
        """The kinds of parts that the method fits."""
        return tuple(self.recommended)

    def fits(self, part: str) -> bool:
        """Return whether the method fits a part of that name."""
        return kind_of(part) in self.recommended

    def recommendation(self, part: str) -> Recommendation:
        """Return what is recommended for a part.

        Raises:
            UserError: the method does not fit it.
        """
        if not self.fits(part):
            raise UserError(
                f"Method {self.name!r} does not fit the part {part!r}, a {_named(kind_of(part))}. It fits: "
                f"{', '.join(map(_named, self.kinds))}."
            )
        return self.recommended[kind_of(part)]


def _named(kind: PartKind) -> str:
    return kind.replace("_", " ")
