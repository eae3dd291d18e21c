"""What lies at a path that a user wants to import: tensors, metadata and, in a folder, PEFT's config. All hostile."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainers.adapter_gate import CONFIG_NAME, TENSORS_NAME, tensor_problems
from trainers.card import CARD_NAME
from trainers.data.plain_text import plain_values
from trainers.errors import UserError, raise_problems
from trainers.storage import read_json
from trainers.tensor_files import read_tensors

DIFFUSERS_NAME = "pytorch_lora_weights.safetensors"
_PICKLED = (".pt", ".bin", ".pth", ".ckpt")
_LIMIT_PICKLED_BYTES = 64 << 20
_LIMIT_KEY = 500
_PICKLED_MODEL = (
    "a whole model as a pickle, which is not read: of pickles only the small files of textual inversions are. Take the "
    "model's .safetensors file, or its folder in diffusers layout, and get what it learned with studio extract FOLDER."
)
_WHOLE_MODEL = ("model.diffusion_model.", "first_stage_model.")


@dataclass(frozen=True)
class Source:
    """One file, or a folder's files."""

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Tensor]]] = field(default_factory=dict)
    """PEFT folders by part (config, tensors); a folder that is itself one has the part ``""``."""
    is_own: bool = False
    """Whether it is a folder of this studio."""
    pickled: Any = None
    """What torch's weights-only reader made of a pickled file."""


def open_source(path: Path) -> Source:
    """Read a file or folder, checked for what no adapter may hold.

    Raises:
        UserError: there is nothing, it is of no known make, or its tensors cannot be trusted; all problems at once.
    """
    if not path.exists():
        raise UserError(
            f"There is no {path}. Give the path of a .safetensors file, an embedding's .pt, or an adapter's folder."
        )
    if path.is_dir():
        return _open_folder(path)
    if path.suffix.lower() in _PICKLED:
        return Source(path, {}, pickled=_read_pickled(path))
    _refuse_whole_model(path)
    tensors = read_tensors(path, "adapter file", limit_bytes=4 << 30)
    check_tensors(path, tensors)
    return Source(path, tensors, read_metadata(path))


def _refuse_whole_model(path: Path) -> None:
    """Tell a checkpoint by its header alone, because it may be larger than any adapter."""
    try:
        with safe_open(str(path), framework="pt") as file:
            keys = list(file.keys())
    except (OSError, SafetensorError):
        return  # what is wrong with the file is said where it is read
    if all(any(key.startswith(prefix) for key in keys) for prefix in _WHOLE_MODEL):
        raise UserError(
            f"{path} is a whole model, not an adapter. Bring it into diffusers layout and use studio extract FOLDER to "
            "get what it learned."
        )


def check_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not finite floating point, too many, or oddly named.

    Raises:
        UserError: with the problems, of many the first ten.
    """
    problems = tensor_problems(tensors, whole_numbers=(".on_input", ".alpha"))
    problems += [f"{key[:60]}… is a key of {len(key)} characters" for key in tensors if len(key) > _LIMIT_KEY]
    raise_problems(f"{path.name} cannot be used:", problems)


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata in a safetensors file's header, which are strings."""
    with safe_open(str(path), framework="pt") as file:
        return dict(file.metadata() or {})


def json_of(text: str | None) -> Any:
    """Return the value of a JSON text from a file's metadata, None where it is none.

    Raises:
        UserError: a text in it is not plain.
    """
    try:
        return plain_values(json.loads(text), "The file's metadata") if text else None
    except (ValueError, RecursionError):
        return None


def _open_folder(path: Path) -> Source:
    if (path / CARD_NAME).is_file():
        return Source(path, {}, is_own=True)
    single = path / DIFFUSERS_NAME
    if single.is_file():
        return open_source(single)
    if (path / "model_index.json").is_file():
        raise UserError(f"{path} is a whole model, not an adapter. Use studio extract {path} to get what it learned.")
    folders = {}
    for config in [path / CONFIG_NAME, *sorted(path.glob(f"*/{CONFIG_NAME}"))]:
        if config.is_file():
            values = read_json(config, "adapter config")
            tensors = read_tensors(config.parent / TENSORS_NAME, "adapter file", limit_bytes=4 << 30)
            check_tensors(config.parent / TENSORS_NAME, tensors)
            folders["" if config.parent == path else config.parent.name] = (values, tensors)
    if not folders:
        raise UserError(
            f"{path} holds no adapter: neither {CONFIG_NAME} (here or one folder below) nor {DIFFUSERS_NAME}. Give the "
            "file itself."
        )
    return Source(path, {}, folders=folders)


def _read_pickled(path: Path) -> Any:
    """Read an old textual inversion with torch's weights-only reader, which builds tensors and plain values alone."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes == 0:
            raise UserError(f"The file {path} is empty (0 bytes). Fetch it again.")
        if size_bytes > _LIMIT_PICKLED_BYTES:
            raise UserError(f"{path} has {size_bytes:,} bytes, so it is {_PICKLED_MODEL}")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(content, dict) and isinstance(content.get("state_dict", content), dict):
            keys = [str(key) for key in content.get("state_dict", content)]
            if any(key.startswith(_WHOLE_MODEL) for key in keys):
                raise UserError(f"{path} holds the layers of a model, so it is {_PICKLED_MODEL}")
            if any(key.endswith((".lora_up.weight", ".lora_B.weight")) for key in keys):
                raise UserError(f"{path} is a pickled adapter. Only .safetensors are read; convert it first.")
        return content
    except UserError:
        raise
    except Exception as error:  # the reader raises many kinds, all meaning that the file holds more than tensors
        raise UserError(
            f"{path} is a pickled file that holds more than tensors and plain values, so it is not read "
            f"({type(error).__name__}). Convert it to .safetensors where you trust it."
        ) from error
