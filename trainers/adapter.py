"""An adapter on disk: a folder with a card and, per part, PEFT's own two files.

    my-style/
      adapter.json                              the card
      unet/adapter_config.json                  PEFT's format, one folder per part
      unet/adapter_model.safetensors
      head.safetensors                          the layer that turns states into rewards or classes, if there is one
      references.safetensors                    the judge's embeddings of the training pictures, for scores
      previews/*.png

A folder from elsewhere is hostile until checked, see `trainers.adapter_gate`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from trainers.adapter_gate import is_finite, part_problems, tensor_problems
from trainers.card import CARD_NAME, CONFIG_NAME, TENSORS_NAME, AdapterCard, part_folder, read_card
from trainers.errors import UserError, raise_problems
from trainers.heads import HEAD_NAME, head_problems
from trainers.storage import new_folder, read_json, write_json
from trainers.tensor_files import read_tensors, tensors_size_bytes, write_tensors

KEY_PREFIX = "base_model.model."
"""What PEFT puts before a module's path in the keys of a file."""
_LIMIT_BYTES = 4 << 30
_METADATA = {"format": "pt"}


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
    head: Mapping[str, Tensor] = field(default_factory=dict)
    """The tensors of the head that the card speaks of; see `trainers.heads`."""


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
    raise_problems(
        f"The adapter {adapter.card.name!r} was not written, its head is broken:",
        [f"{name} is not finite" for name, t in adapter.head.items() if not is_finite(t)],
    )
    with new_folder(folder) as temporary:
        for part, content in adapter.parts.items():
            write_json(temporary / part / CONFIG_NAME, dict(content.config))
            write_tensors(temporary / part / TENSORS_NAME, content.tensors, _METADATA)
        if adapter.head:
            write_tensors(temporary / HEAD_NAME, adapter.head)
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
        place = part_folder(folder, part)
        config = read_json(place / CONFIG_NAME, "adapter config")
        tensors = read_tensors(place / TENSORS_NAME, "adapter file", limit_bytes=_LIMIT_BYTES)
        problems += [f"{part}: {problem}" for problem in part_problems(config, tensors)]
        parts[part] = AdapterPart(config, tensors)
    head: dict[str, Tensor] = {}
    if card.head is not None:
        head = read_tensors(folder / HEAD_NAME, "head", limit_bytes=_LIMIT_BYTES)
        found = [*tensor_problems(head), *head_problems(head, card.head.outputs)]
        problems += [f"{HEAD_NAME}: {problem}" for problem in found]
        problems += (
            [] if card.head.part in card.parts else [f"its head stands behind {card.head.part!r}, no part of it"]
        )
    raise_problems(f"The adapter {folder} cannot be used:", problems)
    references_path = folder / "references.safetensors"
    references = read_tensors(references_path, "references") if references_path.exists() else {}
    return Adapter(card, parts, references, head)


def config_as_json(config: Any) -> dict[str, Any]:
    """Return a PEFT config as plain JSON values, as PEFT itself writes it."""
    values = config.to_dict()
    return dict(json.loads(json.dumps(values, default=lambda item: sorted(item))))
