"""An adapter on disk: a folder with a card and, per part, PEFT's own two files.

    my-style/
      adapter.json                              the card
      unet/adapter_config.json                  PEFT's format, one folder per part
      unet/adapter_model.safetensors
      references.safetensors                    the judge's embeddings of the training pictures, for scores
      previews/*.png

A folder from elsewhere is hostile until checked: sizes are capped, names are literal, ranks equal the tensors' shapes,
every value is finite and A is paired with B before PEFT sees any of it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from trainers.errors import UserError, raise_problems
from trainers.storage import new_folder, read_json, read_tensors, write_json, write_tensors

CARD_NAME = "adapter.json"
CONFIG_NAME = "adapter_config.json"
TENSORS_NAME = "adapter_model.safetensors"
_LIMIT_BYTES = 4 << 30
_LIMIT_TENSORS = 20_000
_NAME_CHARACTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


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


class AdapterCard(BaseModel):
    """Everything about an adapter but its tensors; it holds no paths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = 1
    name: str
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    base: BaseCard
    parts: dict[str, PartCard]
    triggers: tuple[str, ...] = ()
    data: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
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
    if not name or len(name) > 100 or name[0] in ".-" or not set(name) <= _NAME_CHARACTERS:
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
            [f"{name} is not finite" for name, t in content.tensors.items() if not _finite(t)],
        )
    with new_folder(folder) as temporary:
        for part, content in adapter.parts.items():
            write_json(temporary / part / CONFIG_NAME, dict(content.config))
            write_tensors(temporary / part / TENSORS_NAME, content.tensors, {"format": "pt"})
        if adapter.references:
            write_tensors(temporary / "references.safetensors", adapter.references)
        for name, png in (previews or {}).items():
            path = temporary / "previews" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(png)
        write_json(temporary / CARD_NAME, adapter.card.model_dump(mode="json"))


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
        problems += [f"{part}: {problem}" for problem in _problems(config, tensors)]
        parts[part] = AdapterPart(config, tensors)
    raise_problems(f"The adapter {folder} cannot be used:", problems[:10])
    references_path = folder / "references.safetensors"
    references = read_tensors(references_path, "references") if references_path.exists() else {}
    return Adapter(card, parts, references)


def config_as_json(config: Any) -> dict[str, Any]:
    """Return a PEFT config as plain JSON values, as PEFT itself writes it."""
    values = config.to_dict()
    return dict(json.loads(json.dumps(values, default=lambda item: sorted(item))))


def _problems(config: Any, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what is wrong with one part, as sentences."""
    if not isinstance(config, dict):
        return [f"{CONFIG_NAME} is not a JSON object"]
    problems = [*_config_problems(config)]
    if not tensors:
        problems.append(f"{TENSORS_NAME} holds no tensor")
    if len(tensors) > _LIMIT_TENSORS:
        problems.append(f"{len(tensors)} tensors, at most {_LIMIT_TENSORS} are read")
    problems += [f"{name} holds values that are not finite" for name, t in tensors.items() if not _finite(t)]
    problems += _pair_problems(tensors)
    problems += _rank_problems(config, tensors)
    return problems


def _rank_problems(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[str]:
    """PEFT allocates what the config declares before it looks at a tensor, so a declared rank must be real."""
    declared = [config.get("r", 1), *(config.get("rank_pattern") or {}).values()]
    found = [tensor.shape[0] for name, tensor in tensors.items() if ".lora_A." in name and tensor.ndim]
    if not found:
        return []
    wrong = [rank for rank in declared if not isinstance(rank, int) or not 1 <= rank <= max(found)]
    return [f"{CONFIG_NAME} declares the ranks {wrong[:3]}, the tensors go up to {max(found)}"] if wrong else []


def _config_problems(config: Mapping[str, Any]) -> list[str]:
    problems = []
    for key in ("target_modules", "exclude_modules"):
        names = config.get(key)
        if names is None and key == "exclude_modules":
            continue
        # A single string is a regular expression to PEFT, and a hostile one never returns.
        literal = isinstance(names, list) and all(
            isinstance(name, str) and name and set(name) <= _NAME_CHARACTERS for name in names
        )
        if not literal:
            problems.append(f"{key} must be a list of plain module names, not {str(names)[:60]!r}")
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = config.get(key) or {}
        if not isinstance(pattern, dict) or not all(set(name) <= _NAME_CHARACTERS for name in pattern):
            problems.append(f"{key} must map plain module names to numbers")
    if config.get("auto_mapping") or config.get("layer_replication") or config.get("modules_to_save"):
        problems.append("auto_mapping, layer_replication and modules_to_save are not accepted")
    alpha = config.get("lora_alpha", 1)
    if not isinstance(alpha, int | float) or not math.isfinite(alpha) or abs(alpha) > 1e6:
        problems.append(f"lora_alpha must be a finite number up to 1e6, not {alpha!r}")
    return problems


def _pair_problems(tensors: Mapping[str, Tensor]) -> list[str]:
    """Check that every down factor has its up factor and that both have the same rank."""
    problems = []
    for down, up in (("lora_A", "lora_B"),):
        for name, tensor in tensors.items():
            if f".{down}." in name:
                partner = tensors.get(name.replace(f".{down}.", f".{up}."))
                if partner is None:
                    problems.append(f"{name} has no {up}")
                elif tensor.ndim < 2 or partner.ndim < 2 or tensor.shape[0] != partner.shape[1]:
                    problems.append(f"{name} {list(tensor.shape)} and its {up} {list(partner.shape)} differ in rank")
            elif f".{up}." in name and name.replace(f".{up}.", f".{down}.") not in tensors:
                problems.append(f"{name} has no {down}")
    return problems


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
