"""An adapter on disk: a folder with a card and, per part, PEFT's own two files.

    my-style/
      adapter.json                              the card
      unet/adapter_config.json                  PEFT's format, one folder per part
      unet/adapter_model.safetensors
      references.safetensors                    the judge's embeddings of the training pictures, for scores
      previews/*.png

A folder from elsewhere is hostile until checked, see `trainers.adapter_gate`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from trainers.adapter_gate import CONFIG_NAME, NAME_CHARACTERS, TENSORS_NAME, is_finite, part_problems
from trainers.errors import UserError, raise_problems
from trainers.storage import new_folder, read_json, read_tensors, tensors_size_bytes, write_json, write_tensors

CARD_NAME = "adapter.json"
KEY_PREFIX = "base_model.model."
"""What PEFT puts before a module's path in the keys of a file."""
_LIMIT_BYTES = 4 << 30
_METADATA = {"format": "pt"}


class PartCard(BaseModel):
    """What one part of an adapter holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    settings: dict[str, Any] = Field(default_factory=dict)


class BaseCard(BaseModel):
    """The base that an adapter belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    family: str
    fingerprint: str = Field(description="SHA-256 over the base's weights.")
    widths: dict[str, int] = Field(description="Shape facts that another base must share to carry the adapter.")


class ParentCard(BaseModel):
    """One adapter that went into a blend."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    weight: float
    created: str
    hash: str = Field("", description="Content hash of the adapter, see `pipelines.recipe.content_hash`.")
    parts: dict[str, float] = Field(default_factory=dict, description="Factors on the weight by part.")
    blocks: tuple[float, ...] | dict[str, float] | None = Field(None, description="Factors on the weight by block.")
    triggers: tuple[str, ...] = ()
    licence: str = ""
    ranks: dict[str, dict[str, int]] = Field(
        default_factory=dict,
        description="In an exact sum of factors, how many columns of each layer are this parent's, by part and path; "
        "the empty path speaks for all layers not named.",
    )
    recipe: "RecipeCard | None" = Field(None, description="How the parent was made, if it is a blend itself.")


class RecipeCard(BaseModel):
    """How a blend was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blend: str
    parents: tuple[ParentCard, ...] = Field(min_length=1)
    part_blends: dict[str, str] = Field(default_factory=dict, description="Parts that another blend combined.")
    settings: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    dtype: str = "float32"
    base: str = Field("", description="Fingerprint of the base that the blend was computed against.")

    def formula(self) -> str:
        """Return the recipe as a sum, such as ``0.6·blueprint + -0.4·watercolor``."""
        return " + ".join(f"{parent.weight:g}·{parent.name}" for parent in self.parents)


class AdapterCard(BaseModel):
    """Everything about an adapter but its tensors; it holds no paths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    name: str
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    base: BaseCard
    parts: dict[str, PartCard]
    triggers: tuple[str, ...] = ()
    licence: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    recipe: RecipeCard | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    scores: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True)
class AdapterPart:
    """One part's PEFT config (as plain JSON) and tensors (under PEFT's keys)."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Adapter:
    """A whole adapter in memory, checked."""

    card: AdapterCard
    parts: Mapping[str, AdapterPart]
    references: Mapping[str, Tensor]
    """The judge's embeddings of the training pictures, by the judge's fingerprint; each [pictures, width]."""


def check_name(name: str) -> str:
    """Return the name if it can be a folder's name everywhere.

    Raises:
        UserError: it is empty, too long, starts with a dot or dash, or holds another character than letters, digits,
            ``_``, ``-`` and ``.``.
    """
    if not name or len(name) > 100 or name[0] in ".-" or not set(name) <= NAME_CHARACTERS:
        raise UserError(
            f"The name {name!r} cannot be used. Take up to 100 letters, digits, '_', '-' or '.', beginning with a "
            "letter or digit."
        )
    return name


def write_adapter(folder: Path, adapter: Adapter, previews: Mapping[str, bytes] | None = None) -> None:
    """Write a new adapter folder, whole or not at all.

    Args:
        previews: PNG files by name.

    Raises:
        UserError: the folder exists, the disk is full, or a tensor is not finite.
    """
    for part, content in adapter.parts.items():
        raise_problems(
            f"The adapter {adapter.card.name!r} was not written, its part {part} is broken:",
            [f"{name} is not finite" for name, t in content.tensors.items() if not is_finite(t)],
        )
    with new_folder(folder) as temporary:
        for part, content in adapter.parts.items():
            write_json(temporary / part / CONFIG_NAME, dict(content.config))
            write_tensors(temporary / part / TENSORS_NAME, content.tensors, _METADATA)
        if adapter.references:
            write_tensors(temporary / "references.safetensors", adapter.references)
        for name, png in (previews or {}).items():
            path = temporary / "previews" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(png)
        write_json(temporary / CARD_NAME, adapter.card.model_dump(mode="json"))


def parts_size_bytes(parts: Mapping[str, AdapterPart]) -> int:
    """Return the bytes that the tensor files of an adapter's parts will take."""
    return sum(tensors_size_bytes(part.tensors, _METADATA) for part in parts.values())


def read_card(folder: Path) -> AdapterCard:
    """Read an adapter's card alone.

    Raises:
        UserError: the folder holds no card, or the card is broken.
    """
    if not (folder / CARD_NAME).is_file():
        raise UserError(f"{folder} is not an adapter: it holds no {CARD_NAME}.")
    try:
        card = AdapterCard.model_validate(read_json(folder / CARD_NAME, "adapter card"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UserError(f"The adapter card {folder / CARD_NAME} is broken at {where!r}: {first['msg']}.") from error
    check_name(card.name)
    return card


def read_adapter(folder: Path) -> Adapter:
    """Read and check a whole adapter.

    Raises:
        UserError: a file is missing, broken or zero bytes, or its content cannot be trusted; all problems at once.
    """
    card = read_card(folder)
    if not card.parts:
        raise UserError(f"The adapter {folder} has no parts.")
    parts: dict[str, AdapterPart] = {}
    problems: list[str] = []
    for part in card.parts:
        check_name(part)
        config = read_json(folder / part / CONFIG_NAME, "adapter config")
        tensors = read_tensors(folder / part / TENSORS_NAME, "adapter file", limit_bytes=_LIMIT_BYTES)
        problems += [f"{part}: {problem}" for problem in part_problems(config, tensors)]
        parts[part] = AdapterPart(config, tensors)
    raise_problems(f"The adapter {folder} cannot be used:", problems)
    references_path = folder / "references.safetensors"
    references = read_tensors(references_path, "references") if references_path.exists() else {}
    return Adapter(card, parts, references)


def config_as_json(config: Any) -> dict[str, Any]:
    """Return a PEFT config as plain JSON values, as PEFT itself writes it."""
    values = config.to_dict()
    return dict(json.loads(json.dumps(values, default=lambda item: sorted(item))))
