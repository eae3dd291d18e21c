"""What a method's file states: one frozen record and one documented settings class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

ResolveTargets = Callable[[Sequence[str]], tuple[str, ...]]
"""Turns kinds of layers (``attention`` …) into a part's literal module names; other words pass through."""


class MethodSettings(BaseModel):
    """Base of every method's settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Recommendation:
    """What `--method NAME` alone uses on one part."""

    learning_rate: float
    """Step size of AdamW."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the method's defaults on this part."""


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
    recommended: Mapping[str, Recommendation]
    """By part; the parts it fits are the keys."""
    peft_config: Callable[[Any, ResolveTargets], Any]
    """(settings, resolver) -> the PEFT config that attaches it."""
    mergeable: bool
    """Whether its effect is a weight delta that can be added into the base."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that the method fits."""
        return tuple(self.recommended)
