"""What is trained on one part of a base, and what is wrong with a run's parts."""

import contextlib
import reprlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainers.errors import UserError, problem_sentence, unknown
from trainers.methods import MethodSettings, find_method
from trainers.parts import DENOISER, FULL_SIZED_RATE_SHARES, kind_of

HEADLINE = "The run's settings cannot be used:"
POCKET = "pocket"
_POCKETS = (POCKET, "pocket-lm")
_PARTS_EXAMPLE = "write parts: {denoiser: {method: lora, learning_rate: 2e-3, settings: {rank: 16}}}"
_OF_A_PART = ("method", "learning_rate", "rank", "alpha", "targets", "settings")


class Frozen(BaseModel):
    """Settings that do not change, in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PartConfig(Frozen):
    """What is trained on one part of the base."""

    method: str = Field("lora", description="The parameter-efficient method.")
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=10,
        description="Step size of the optimizer; empty takes the method's recommendation.",
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="The method's own settings.")

    def method_settings(self, part: str) -> MethodSettings:
        """Return the checked settings: the method's defaults, its recommendation for the part, then these."""
        method = find_method(self.method)
        return method.settings.model_validate({**method.recommendation(part).settings, **self.settings})

    def learning_rate_of(self, part: str, base: str) -> float:
        """Return the learning rate, the method's recommendation where none is set."""
        if self.learning_rate is not None:
            return self.learning_rate
        recommended = find_method(self.method).recommendation(part)
        if base in _POCKETS:
            return recommended.rate_on_pocket()
        return recommended.learning_rate * FULL_SIZED_RATE_SHARES[kind_of(part)]


def learned_word(part: str, plan: PartConfig) -> str | None:
    """Return what captions must hold for a part to learn at all, or None."""
    trigger = find_method(plan.method).trigger
    return None if trigger is None else trigger(plan.method_settings(part))


def check_parts_shape(parts: object) -> None:
    """Check that the parts of a config are a mapping of mappings.

    Raises:
        UserError: they are not, with an example.
    """
    if not (isinstance(parts, Mapping) and parts and all(_is_plan(plan) for plan in parts.values())):
        raise UserError(f"{HEADLINE} parts = {reprlib.repr(parts)} cannot be read; {_PARTS_EXAMPLE}.")


def _is_plan(plan: object) -> bool:
    if not isinstance(plan, Mapping):
        return isinstance(plan, PartConfig)
    return isinstance(plan.get("settings", {}), Mapping) and isinstance(plan.get("method", "lora"), str)


def checked_parts(plans: Mapping[str, PartConfig], base: str) -> tuple[dict[str, PartConfig], list[str]]:
    """Return the parts with every recommendation written out, and what is wrong with the others."""
    parts: dict[str, PartConfig] = {}
    problems: list[str] = []
    for part, plan in plans.items():
        try:
            settings = plan.method_settings(part)
            parts[part] = PartConfig(
                method=plan.method,
                learning_rate=plan.learning_rate_of(part, base),
                settings=settings.model_dump(mode="json"),
            )
        except UserError as error:
            problems.append(str(error))
        except ValidationError as error:
            problems += sentences(error, find_method(plan.method).settings, f"parts.{part}.settings.")
    return parts, problems


def unknown_parts(parts: Iterable[str], known: Collection[str]) -> list[str]:
    """Return a sentence for every part that no base has; where none is known, no name can be wrong."""
    offered = [DENOISER, *known]
    return [str(unknown("Part", part, offered)) for part in parts if known and part not in offered]


def sound_parts(parts: Any) -> dict[str, PartConfig]:
    """Return the parts that are well-formed among values that are not, as a whole."""
    sound: dict[str, PartConfig] = {}
    for part, plan in parts.items() if isinstance(parts, Mapping) else ():
        with contextlib.suppress(ValidationError):
            sound[str(part)] = PartConfig.model_validate(plan)
    return sound


def sentences(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return what is wrong with a run's settings, a sentence for each."""
    return [_sentence(dict(item), model, prefix) for item in error.errors()]


def _sentence(item: Mapping[str, Any], model: type[BaseModel], prefix: str) -> str:
    if item["type"] == "extra_forbidden" and item["loc"][0] in _OF_A_PART:
        where = prefix + ".".join(str(step) for step in item["loc"])
        return f"{where}: that belongs to a part; {_PARTS_EXAMPLE}"
    known = PartConfig if item["loc"][:1] == ("parts",) else model
    return problem_sentence(item, known.model_fields, prefix)
