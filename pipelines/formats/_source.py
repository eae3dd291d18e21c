"""What lies at a path that a user wants to import: tensors, metadata and, in a folder, PEFT's config. All hostile."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pipelines.formats._eight_bit import widened
from pipelines.formats._other_models import is_adapter_key, other_model
from trainers.adapter_gate import tensor_problems
from trainers.card import CARD_NAME, CONFIG_NAME, TENSORS_NAME
from trainers.data.plain_text import plain_values
from trainers.errors import UserError, raise_problems
from trainers.file_kinds import file_kind
from trainers.storage import read_json
from trainers.tensor_files import read_tensors
from trainers.wording import listed

DIFFUSERS_NAME = "pytorch_lora_weights.safetensors"
_PICKLED = (".pt", ".bin", ".pth", ".ckpt")
_LIMIT_PICKLED_BYTES = 64 << 20
_LIMIT_KEY = 500
_PICKLED_MODEL = (
    "a whole model as a pickle, which is not read: of pickles only the small files of textual inversions are. Take the "
    "model's .safetensors file, or its folder in diffusers layout, and get what it learned with studio extract FOLDER."
)


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
    notes: Sequence[str] = ()
    """Sentences on what was changed in reading, and on files beside that are not read."""


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
    if not path.is_file():
        raise UserError(f"{path} is neither a file nor a folder. Give the path of a .safetensors file.")
    try:
        kind = file_kind(path)
    except OSError as error:
        raise UserError(f"The file {path} cannot be read: {error.strerror}. Check who may read it.") from error
    if path.suffix.lower() in _PICKLED and kind.name in ("pickle", "unknown", "unsound"):
        return Source(path, {}, pickled=_read_pickled(path))
    if kind.sentence:
        raise UserError(f"The file {path} {kind.sentence}")
    if path.name == TENSORS_NAME and (path.parent / CONFIG_NAME).is_file():
        return _open_folder(path.parent)  # its ranks and alphas stand in the config beside it
    _refuse_other_model(path)
    tensors, notes = _tensors(path)
    return Source(path, tensors, read_metadata(path), notes=notes)


def _refuse_other_model(path: Path) -> None:
    """Tell what is no adapter by its header alone, because it may be larger than any adapter.

    Raises:
        UserError: it is a whole model, a part of one, or something else that is known.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            keys = list(file.keys())
    except (OSError, SafetensorError):
        return  # what is wrong with the file is said where it is read
    what = other_model(keys)
    if what:
        raise UserError(f"{path} {what}")


def _tensors(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Read and check an adapter's file; return also what was done to its number format."""
    tensors, notes = widened(read_tensors(path, "adapter file", limit_bytes=4 << 30))
    check_tensors(path, tensors)
    return tensors, notes


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
    configs = [config for config in (path / CONFIG_NAME, *sorted(path.glob(f"*/{CONFIG_NAME}"))) if config.is_file()]
    if single.is_file():
        source = open_source(single)
        beside = _beside(path, {DIFFUSERS_NAME}, [str(config.relative_to(path)) for config in configs])
        return Source(single, source.tensors, source.metadata, notes=[*source.notes, *beside])
    if (path / "model_index.json").is_file():
        raise UserError(f"{path} is a whole model, not an adapter. Use studio extract {path} to get what it learned.")
    folders = {}
    notes: list[str] = []
    for config in configs:
        values = read_json(config, "adapter config")
        tensors, told = _tensors(_weights_of(config.parent))
        folders["" if config.parent == path else config.parent.name] = (values, tensors)
        notes += told
    if not folders:
        raise UserError(_no_adapter(path))
    return Source(path, {}, folders=folders, notes=[*notes, *_beside(path, {TENSORS_NAME})])


def _weights_of(folder: Path) -> Path:
    """Return the tensors' file of a PEFT folder.

    Raises:
        UserError: it is not there; what is there instead is named.
    """
    weights = folder / TENSORS_NAME
    pickled = folder / "adapter_model.bin"
    if weights.is_file():
        return weights
    if pickled.is_file():
        raise UserError(
            f"{folder} holds {pickled.name}, a pickle, which is not read, because a pickle can run code. Where you "
            f"trust it, load it with PEFT and save it again with save_pretrained, which writes {TENSORS_NAME}."
        )
    if (folder / f"{TENSORS_NAME}.index.json").is_file():
        raise UserError(f"{folder} holds an adapter in several pieces, which is not read. Save it again as one file.")
    raise UserError(f"{folder} holds {CONFIG_NAME} without {TENSORS_NAME}. Fetch that file as well.")


def _beside(folder: Path, read: Collection[str], more: Sequence[str] = ()) -> list[str]:
    """Return a sentence on an adapter folder's other files that could be meant, if there are any."""
    files = [name for name in _tensor_files(folder) if name not in read]
    return [f"Not read: {listed([*files, *more])}, beside it. Import it by itself."] if files or more else []


def _tensor_files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.safetensors") if not file.name.startswith("."))


def _no_adapter(folder: Path) -> str:
    """Return what is wrong with a folder in which no adapter lies."""
    config = folder / "config.json"
    values = read_json(config, "model's config") if config.is_file() else {}
    architectures = values.get("architectures") if isinstance(values, dict) else None
    own = values.get("_class_name") if isinstance(values, dict) else None
    name = own or (architectures[0] if isinstance(architectures, list) and architectures else None)
    if name:
        return (
            f"{folder} is a whole model ({str(name)[:80]}), not an adapter. Use its base's folder with studio extract."
        )
    if (folder / TENSORS_NAME).is_file():
        return f"{folder} holds {TENSORS_NAME} without {CONFIG_NAME}, which says its alpha. Put that file beside it."
    files = _tensor_files(folder)
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _PICKLED)
    said = f"{folder} holds no adapter: neither {CONFIG_NAME} (here or one folder below) nor {DIFFUSERS_NAME}."
    if files:
        return f"{said} It holds {listed(files)}; give the file itself."
    if pickles:
        return f"{said} Of pickles ({listed(pickles)}) only a word's small file is read. Convert it to .safetensors."
    return f"{said} Give the file itself."


def _read_pickled(path: Path) -> Any:
    """Read an old textual inversion with torch's weights-only reader, which builds tensors and plain values alone."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes == 0:
            raise UserError(f"The file {path} is empty (0 bytes). Fetch it again.")
        if size_bytes > _LIMIT_PICKLED_BYTES:
            raise UserError(f"{path} has {size_bytes:,} bytes, so it is {_PICKLED_MODEL}")
        content = torch.load(path, map_location="cpu", weights_only=True)
        stored = content.get("state_dict", content) if isinstance(content, dict) else None
        keys = [str(key) for key in stored] if isinstance(stored, dict) else []
        if any(map(is_adapter_key, keys)):
            raise UserError(f"{path} is a pickled adapter. Only .safetensors are read; convert it first.")
        what = other_model(keys)
        if what.startswith("is a whole model"):
            raise UserError(f"{path} holds the layers of a model, so it is {_PICKLED_MODEL}")
        if what:
            raise UserError(f"{path} {what} Besides, it is a pickle, which is not read.")
        return content
    except UserError:
        raise
    except Exception as error:  # the reader raises many kinds, all meaning that the file holds more than tensors
        raise UserError(
            f"{path} is a pickled file that is cut off or holds more than tensors and plain values, so it is not read "
            f"({type(error).__name__}). Convert it to .safetensors where you trust it."
        ) from error
