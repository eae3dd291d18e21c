"""The settings of one run: one schema for command-line flags, YAML, the web form, Python and the saved run."""

import contextlib
import reprlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, overload

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from trainers.data.plain_text import plain_values
from trainers.errors import UserError, problem_sentence, raise_problems, unknown
from trainers.loss_weightings import find_loss_weighting, loss_weightings
from trainers.lr_schedulers import lr_schedulers
from trainers.methods import MethodSettings, find_method
from trainers.names import check_name, composed
from trainers.old_names import KINDS_OF_RUNS, TRAINING, with_new_names
from trainers.optimizers import optimizers
from trainers.parts import DENOISER, FULL_SIZED_RATE_SHARES, TEXT_ENCODER, PartKind, called_in, kind_of
from trainers.registry import OneOf
from trainers.seeds import drawn_seed

Precision = Literal["auto", "fp32", "bf16", "fp16"]
_HEADLINE = "The run's settings cannot be used:"
_POCKET = "pocket"
_POCKETS = (_POCKET, "pocket-lm")
_PARTS_EXAMPLE = "write parts: {denoiser: {method: lora, learning_rate: 2e-3, settings: {rank: 16}}}"
_OF_A_PART = ("method", "learning_rate", "rank", "alpha", "targets", "settings")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PartConfig(_Frozen):
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


class TrainingConfig(_Frozen):
    """What every kind of training has; each kind adds its own. Same config, same machine: bit-equal results."""

    not_in_the_card: ClassVar[tuple[str, ...]] = ("base", "data", "name", "device")
    """Settings that are said elsewhere in an adapter's card, or that are this machine's affair."""
    part_kinds: ClassVar[tuple[PartKind, ...]] = (DENOISER, TEXT_ENCODER)
    """The kinds of parts that can be trained."""

    base: str = Field(_POCKET, description="Base model: pocket, a folder in diffusers layout, or a hub id.")
    data: str = Field(description="Folder of pictures with captions.")
    name: Annotated[str, AfterValidator(composed)] = Field(description="Name of the adapter and of its run.")
    parts: dict[str, PartConfig] = Field(min_length=1, description="What is trained, by part.")
    steps: int = Field(250, ge=1, le=1_000_000, description="Number of optimizer steps.")
    batch_size: int = Field(4, ge=1, le=4096, description="Examples per step on each device.")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=1024, description="Batches whose gradients are added for one step."
    )
    optimizer: Annotated[str, OneOf(optimizers)] = Field("adamw", description="How gradients become steps.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decoupled weight decay.")
    lr_scheduler: Annotated[str, OneOf(lr_schedulers)] = Field(
        "cosine", description="How the learning rate falls after the warm-up."
    )
    warmup_steps: int = Field(10, ge=0, description="Steps in which the learning rate rises from zero.")
    max_grad_norm: float = Field(1.0, gt=0, description="Longer gradients are shortened to this norm.")
    seed: Annotated[int, Field(ge=-1, lt=2**31), AfterValidator(drawn_seed)] = Field(
        0, description="Seed of everything random; -1 draws one, which is kept."
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    precision: Precision = Field(
        "auto",
        description="Arithmetic of the frozen base; auto is bf16 on a GPU that has it, else fp32.",
    )
    gradient_checkpointing: bool = Field(False, description="Compute activations twice to save memory.")
    checkpoint_every: int = Field(100, ge=1, description="Steps between checkpoints.")
    keep_checkpoints: int = Field(2, ge=2, le=1000, description="Newest checkpoints that are kept.")
    sample_every: int = Field(0, ge=0, description="Steps between samples; 0 only at start and end.")
    sample_prompts: tuple[str, ...] = Field(
        (), max_length=16, description="Prompts of the samples; empty takes some of the data's."
    )

    def learning_rate_of(self, part: str) -> float:
        """Return the learning rate of a part."""
        return self.parts[part].learning_rate_of(part, self.base)

    def on(self, base_parts: Iterable[str]) -> Self:
        """Return the config with the part ``denoiser`` called as a base with these parts calls it.

        Raises:
            UserError: the base's denoiser is planned under both names.
        """
        return self.model_copy(update={"parts": called_in(self.parts, base_parts)})

    def for_the_card(self) -> dict[str, Any]:
        """Return settings as an adapter's card keeps them, where they differ from the config's own."""
        return {}

    def own_problems(self) -> list[str]:
        """Return what does not go together among the settings of this kind of training."""
        return []

    def checked(self) -> Self:
        """Return the config with every recommendation written out, after checking all of it.

        Raises:
            UserError: listing every problem at once.
        """
        raise_problems(_HEADLINE, self.problems())
        return self.model_copy(update={"parts": _checked_parts(self.parts, self.base)[0]})

    def problems(self) -> list[str]:
        """Return what is wrong with the settings, a sentence each."""
        parts = _checked_parts(self.parts, self.base)[1]
        kinds = " and ".join(kind.replace("_", " ") for kind in self.part_kinds)
        other = [part for part in self.parts if kind_of(part) not in self.part_kinds]
        parts += [f"the part {part!r} does not fit; this training is for parts of the kind {kinds}" for part in other]
        return [*parts, *_value_problems(self.name, self.steps, self.warmup_steps), *self.own_problems()]


class RunConfig(TrainingConfig):
    """Training on pictures."""

    not_in_the_card = (*TrainingConfig.not_in_the_card, "judge")
    kind: Literal["images"] = Field("images", description="What is learned from.")
    parts: dict[str, PartConfig] = Field(
        default_factory=lambda: {str(DENOISER): PartConfig(), str(TEXT_ENCODER): PartConfig()},
        min_length=1,
        description="What is trained, by part; denoiser is the base's own, whatever it is called.",
    )
    prompt: str | None = Field(None, description="One caption for every picture, instead of caption files.")
    trigger: str | None = Field(
        None,
        description="A word put before every caption, to call the style by; empty takes the word that the method "
        "learns, if it learns one.",
    )
    skip_bad: bool = Field(False, description="Go on without pictures that cannot be read.")
    resolution_px: int | None = Field(
        None,
        ge=64,
        le=2048,
        multiple_of=8,
        description="Training size in pixels; empty takes the base's own.",
    )
    flip: bool = Field(False, description="Also train on mirrored pictures. Wrong for lettering and faces.")
    caption_dropout: float = Field(
        0.1, ge=0, le=1, description="Share of captions left empty, so that guidance keeps working."
    )
    loss_weighting: Annotated[str, OneOf(loss_weightings)] = Field(
        "none", description="How much the error counts at each noise level."
    )
    loss_weighting_settings: dict[str, Any] = Field(
        default_factory=dict, description="The loss weighting's own settings."
    )
    snr_gamma: float | None = Field(
        None,
        gt=0,
        description="Short for the loss weighting min_snr with this cap of the signal-to-noise ratio, 5 is usual.",
        json_schema_extra={"shorthand": True},
    )
    snr_floor: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Beside snr_gamma: the smallest weight of a noise level.",
        json_schema_extra={"shorthand": True},
    )
    judge: str = Field(
        "auto",
        description="CLIP model that embeds the training pictures for later scores: pocket, a folder, none, or auto "
        "(pocket for the pocket base, else none).",
    )

    def own_problems(self) -> list[str]:
        if self.snr_floor is not None and self.snr_gamma is None:
            return [f"snr_floor {self.snr_floor:g} is a floor under the weights of snr_gamma, which is not set"]
        if self.snr_gamma is not None and (self.loss_weighting not in ("none", "min_snr") or self._weighted_by()):
            return [
                f"snr_gamma {self.snr_gamma:g} is short for loss_weighting min_snr, and another weighting or its "
                "settings are given beside it"
            ]
        settings = find_loss_weighting(self.loss_weighting).settings
        try:
            settings.model_validate(self._weighted_by())
        except ValidationError as error:
            return _sentences(error, settings, "loss_weighting_settings.")
        return []

    def _weighted_by(self) -> dict[str, Any]:
        """Return the settings of the weighting that are given; an empty text is none."""
        return {key: None if value in ("", "none") else value for key, value in self.loss_weighting_settings.items()}

    def checked(self) -> Self:
        """Return the config with all recommendations, learned words and shorthands written out, after checking it."""
        config = super().checked()
        name, given = self.loss_weighting, self._weighted_by()
        if self.snr_gamma is not None:
            name, given = "min_snr", {"gamma": self.snr_gamma, "floor": self.snr_floor}
        changes = {
            "trigger": config.trigger or _own_trigger(config.parts),
            "loss_weighting": name,
            "loss_weighting_settings": find_loss_weighting(name).settings.model_validate(given).model_dump(mode="json"),
            "snr_gamma": None,
            "snr_floor": None,
        }
        return config.model_copy(update=changes)


Config = TypeVar("Config", bound=TrainingConfig)


def _own_trigger(parts: Mapping[str, PartConfig]) -> str | None:
    """Return the words that the parts' methods learn, to be put before every caption; None where they learn none."""
    words = [learned_word(part, plan) for part, plan in parts.items()]
    return " ".join(dict.fromkeys(word for word in words if word)) or None


def learned_word(part: str, plan: PartConfig) -> str | None:
    """Return what captions must hold for a part to learn at all, or None."""
    trigger = find_method(plan.method).trigger
    return None if trigger is None else trigger(plan.method_settings(part))


@overload
def parse_config(values: Mapping[str, Any], *, known_parts: Collection[str] = ()) -> RunConfig: ...
@overload
def parse_config(values: Mapping[str, Any], model: type[Config], *, known_parts: Collection[str] = ()) -> Config: ...
def parse_config(values: Mapping[str, Any], model: type[Any] = RunConfig, *, known_parts: Collection[str] = ()) -> Any:
    """Build a checked config from plain values.

    Args:
        model: the kind of training that the values are for.
        known_parts: the parts that bases have; empty checks their names on the loaded base alone.

    Raises:
        UserError: listing every unknown key and every value out of range, those of the parts' methods too.
    """
    plain_values(values, "The run's settings")
    values, twice = with_new_names(values, TRAINING)
    raise_problems(_HEADLINE, twice)
    if values.get("kind") in KINDS_OF_RUNS:
        values["kind"] = KINDS_OF_RUNS[values["kind"]]
    if "parts" in values:
        check_parts_shape(values["parts"])
    try:
        config = model.model_validate(dict(values))
    except ValidationError as error:
        sound = _sound_parts(values.get("parts"))
        problems = _sentences(error, model) + _unknown_parts(sound, known_parts) + _checked_parts(sound, _POCKET)[1]
        if isinstance(values.get("name"), str):
            problems += _value_problems(values["name"], 1, 0)
        raise_problems(_HEADLINE, problems)
        raise
    wrong = _unknown_parts(config.parts, known_parts)
    if wrong:
        raise_problems(_HEADLINE, [*wrong, *config.problems()])
    return config.checked()


def check_parts_shape(parts: object) -> None:
    """Check that the parts of a config are a mapping of mappings.

    Raises:
        UserError: they are not, with an example.
    """
    if not (isinstance(parts, Mapping) and parts and all(_is_plan(plan) for plan in parts.values())):
        raise UserError(f"{_HEADLINE} parts = {reprlib.repr(parts)} cannot be read; {_PARTS_EXAMPLE}.")


def _is_plan(plan: object) -> bool:
    if not isinstance(plan, Mapping):
        return isinstance(plan, PartConfig)
    return isinstance(plan.get("settings", {}), Mapping) and isinstance(plan.get("method", "lora"), str)


def _checked_parts(plans: Mapping[str, PartConfig], base: str) -> tuple[dict[str, PartConfig], list[str]]:
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
            problems += _sentences(error, find_method(plan.method).settings, f"parts.{part}.settings.")
    return parts, problems


def _unknown_parts(parts: Iterable[str], known: Collection[str]) -> list[str]:
    """Return a sentence for every part that no base has; where none is known, no name can be wrong."""
    offered = [DENOISER, *known]
    return [str(unknown("Part", part, offered)) for part in parts if known and part not in offered]


def _sound_parts(parts: Any) -> dict[str, PartConfig]:
    """Return the parts that are well-formed among values that are not, as a whole."""
    sound: dict[str, PartConfig] = {}
    for part, plan in parts.items() if isinstance(parts, Mapping) else ():
        with contextlib.suppress(ValidationError):
            sound[str(part)] = PartConfig.model_validate(plan)
    return sound


def _value_problems(name: str, steps: int, warmup_steps: int) -> list[str]:
    problems = []
    try:
        check_name(name)
    except UserError as error:
        problems.append(str(error))
    if warmup_steps >= steps and warmup_steps != RunConfig.model_fields["warmup_steps"].default:
        problems.append(f"warmup_steps {warmup_steps} must be below steps {steps}")
    return problems


def read_config(path: Path) -> dict[str, Any]:
    """Read the plain values of a YAML file; `parse_config` checks them.

    Raises:
        UserError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # bad dates are a ValueError
        reason = " ".join(str(error).split())
        raise UserError(f"The config {path} cannot be read: {reason}.") from error
    if not isinstance(values, dict):
        raise UserError(f"The config {path} must be a mapping of settings, such as 'steps: 250'.")
    renamed, twice = with_new_names(plain_values(values, f"The config {path}"), TRAINING)
    raise_problems(f"The config {path} cannot be used:", twice)
    return renamed


def config_as_yaml(config: TrainingConfig) -> str:
    """Return the config as YAML with its keys in the schema's order."""
    values = config.model_dump(mode="json")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) != values:  # PyYAML folds U+0085, a line end of old mainframes, into a space
        text = yaml.safe_dump(values, sort_keys=False)
    return text


def _sentences(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[str]:
    return [_sentence(dict(item), model, prefix) for item in error.errors()]


def _sentence(item: Mapping[str, Any], model: type[BaseModel], prefix: str) -> str:
    if item["type"] == "extra_forbidden" and item["loc"][0] in _OF_A_PART:
        where = prefix + ".".join(str(step) for step in item["loc"])
        return f"{where}: that belongs to a part; {_PARTS_EXAMPLE}"
    known = PartConfig if item["loc"][:1] == ("parts",) else model
    return problem_sentence(item, known.model_fields, prefix)
