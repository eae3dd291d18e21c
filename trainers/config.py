"""The settings of one run: one schema for command-line flags, YAML, the web form, Python and the saved run."""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, overload

from pydantic import AfterValidator, Field, ValidationError

from trainers.data.plain_text import plain_values
from trainers.errors import UserError, raise_problems
from trainers.loss_weightings import find_loss_weighting, loss_weightings
from trainers.lr_schedulers import lr_schedulers
from trainers.names import check_name, composed
from trainers.old_names import KINDS_OF_RUNS, TRAINING, with_new_names
from trainers.optimizers import optimizers
from trainers.part_config import (
    HEADLINE,
    POCKET,
    Frozen,
    PartConfig,
    check_parts_shape,
    checked_parts,
    learned_word,
    sentences,
    sound_parts,
    unknown_parts,
)
from trainers.parts import DENOISER, TEXT_ENCODER, PartKind, called_in, kind_of
from trainers.registry import OneOf
from trainers.seeds import drawn_seed

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class TrainingConfig(Frozen):
    """What every kind of training has; each kind adds its own. Same config, same machine: bit-equal results."""

    not_in_the_card: ClassVar[tuple[str, ...]] = ("base", "data", "name", "device")
    """Settings that are said elsewhere in an adapter's card, or that are this machine's affair."""
    part_kinds: ClassVar[tuple[PartKind, ...]] = (DENOISER, TEXT_ENCODER)
    """The kinds of parts that can be trained."""

    base: str = Field(POCKET, description="Base model: pocket, a folder in diffusers layout, or a hub id.")
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
        raise_problems(HEADLINE, self.problems())
        return self.model_copy(update={"parts": checked_parts(self.parts, self.base)[0]})

    def problems(self) -> list[str]:
        """Return what is wrong with the settings, a sentence each."""
        parts = checked_parts(self.parts, self.base)[1]
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
            return sentences(error, settings, "loss_weighting_settings.")
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
    raise_problems(HEADLINE, twice)
    if values.get("kind") in KINDS_OF_RUNS:
        values["kind"] = KINDS_OF_RUNS[values["kind"]]
    if "parts" in values:
        check_parts_shape(values["parts"])
    try:
        config = model.model_validate(dict(values))
    except ValidationError as error:
        sound = sound_parts(values.get("parts"))
        problems = sentences(error, model) + unknown_parts(sound, known_parts) + checked_parts(sound, POCKET)[1]
        if isinstance(values.get("name"), str):
            problems += _value_problems(values["name"], 1, 0)
        raise_problems(HEADLINE, problems)
        raise
    wrong = unknown_parts(config.parts, known_parts)
    if wrong:
        raise_problems(HEADLINE, [*wrong, *config.problems()])
    return config.checked()


def _value_problems(name: str, steps: int, warmup_steps: int) -> list[str]:
    problems = []
    try:
        check_name(name)
    except UserError as error:
        problems.append(str(error))
    if warmup_steps >= steps and warmup_steps != RunConfig.model_fields["warmup_steps"].default:
        problems.append(f"warmup_steps {warmup_steps} must be below steps {steps}")
    return problems
