"""PEFT's own folders: ``adapter_config.json`` beside ``adapter_model.safetensors``, one folder per part.

Plain PEFT loads a part with ``PeftModel.from_pretrained(unet, "folder/unet")``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.deltas import changes_words
from pipelines.formats._format import Export, Format, Found
from pipelines.formats._layer import Layer
from pipelines.formats._leaves import unnamed_key
from pipelines.formats._names import ModuleNames, Place
from pipelines.formats._part_layers import layers_of_part
from pipelines.formats._parts import lora_part
from pipelines.formats._source import Source
from trainers.adapter import KEY_PREFIX, AdapterPart
from trainers.adapter_gate import part_problems
from trainers.card import CONFIG_NAME, TENSORS_NAME
from trainers.errors import UserError, raise_problems
from trainers.storage import new_folder, write_json
from trainers.tensor_files import write_tensors
from trainers.wording import listed

_MAGNITUDE = "lora_magnitude_vector"
_CHOICE = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")


def _recognise(source: Source) -> bool:
    return bool(source.folders)


def _read(source: Source, names: ModuleNames) -> Found:
    layers: dict[str, Mapping[str, Layer]] = {}
    whole: dict[str, AdapterPart] = {}
    unmatched: list[str] = []
    origin: dict[str, str] = {}
    notes: list[str] = []
    for folder, (config, tensors) in source.folders.items():
        label = folder or source.path.name
        own = _without_choice(config)
        raise_problems(f"{label} cannot be used:", [*part_problems(own, tensors), *_magnitude_problems(own, tensors)])
        trained, copies = _without_copies(tensors, names, folder, label)
        notes += copies
        found, missing = _renamed(own, trained, names, folder, label)
        unmatched += [f"{folder}/{key}" if folder and len(source.folders) > 1 else key for key in missing]
        for part, content in found.items():
            if origin.setdefault(part, label) != label:
                raise UserError(
                    f"{source.path} holds two adapters for the {part}, in {origin[part]} and in {label}. Give the "
                    "folder of one of them."
                )
            kinds = None if changes_words(content) else layers_of_part(content)
            if kinds is None:
                whole[part] = content
            else:
                layers[part] = kinds
    return Found(layers, whole, {}, unmatched, notes=notes)


def _without_copies(
    tensors: Mapping[str, Tensor], names: ModuleNames, folder: str, label: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors without those that only repeat the base's, and a sentence on these.

    Raises:
        UserError: one is no repetition: it was trained as well, has other words, or is of another base.
    """
    kept: dict[str, Tensor] = {}
    repeated: list[str] = []
    problems: list[str] = []
    for key, tensor in tensors.items():
        place, rest = _find(key.removeprefix(KEY_PREFIX), names, folder)
        leaf = _copied_leaf(rest)
        own = names.hosts[place]._parameters.get(leaf) if place is not None and leaf is not None else None
        if own is None:
            kept[key] = tensor
        elif _equal(own, tensor):
            repeated.append(key)
        else:
            size = f" {list(tensor.shape)}, the base's is {list(own.shape)}" if own.shape != tensor.shape else ""
            problems.append(f"it holds a whole matrix of its own, {key}{size}, and not the base's")
    advice = "Such a matrix is no delta: give the base that it was trained on with --base, or merge it there."
    raise_problems(f"{label} cannot be used:", problems, advice)
    note = f"{label}: {', '.join(repeated)} only repeats the base's own, and is left out."
    return kept, [note] if repeated else []


def _copied_leaf(rest: str) -> str | None:
    """Return which parameter of a module the rest of a key copies, or None where it is an adapter's own tensor.

    PEFT writes the whole matrix of an adapted output layer or table of words beside its delta: `save_embedding_layers`.
    """
    leaf = rest.removeprefix("base_layer.")
    return leaf if leaf in ("weight", "bias") else None


def _equal(own: Tensor, copy: Tensor) -> bool:
    """Return whether a copy is the base's tensor, in the number format of either."""
    own, copy = own.detach().cpu(), copy.cpu()
    return own.shape == copy.shape and (torch.equal(own.to(copy.dtype), copy) or torch.equal(own, copy.to(own.dtype)))


def _without_choice(config: Any) -> Any:
    """Return a config without what chooses modules: the tensors name them, and no pattern from elsewhere is run."""
    if not isinstance(config, dict):
        return config
    return {**{key: value for key, value in config.items() if key not in _CHOICE}, "target_modules": []}


def _magnitude_problems(config: Any, tensors: Mapping[str, Tensor]) -> list[str]:
    """Say which modules of a DoRA lack their magnitude: PEFT would put the base's norms there, which no one trained."""
    if not isinstance(config, dict) or not config.get("use_dora"):
        return []
    factors = {key.partition(".lora_A.")[0] for key in tensors if ".lora_A." in key}
    missing = sorted(factors - {key.partition(f".{_MAGNITUDE}")[0] for key in tensors if _MAGNITUDE in key})
    return [f"it is a DoRA (use_dora), but {listed(missing)} lacks its {_MAGNITUDE}"] if missing else []


def _renamed(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], names: ModuleNames, folder: str, label: str
) -> tuple[dict[str, AdapterPart], list[str]]:
    """Return a folder's tensors by part under the live model's paths, and the names that it has no module for.

    Raises:
        UserError: two keys say the same of one module.
    """
    by_part: dict[str, dict[str, Tensor]] = {}
    targets: dict[str, set[str]] = {}
    renamed: dict[str, str] = {}
    unmatched: list[str] = []
    given: dict[tuple[str, str], str] = {}
    problems: list[str] = []
    for key, tensor in tensors.items():
        path = unnamed_key(key).removeprefix(KEY_PREFIX)
        place, rest = _find(path, names, folder)
        if place is None:
            unmatched.append(key)
            continue
        leaf = _MAGNITUDE if rest == f"{_MAGNITUDE}.weight" else rest
        new = f"{KEY_PREFIX}{place.path}.{leaf}"
        before = given.setdefault((place.part, new), key)
        if before != key:
            problems.append(f"it names {place.part}/{place.path} twice, with {before} and {key}")
        by_part.setdefault(place.part, {})[new] = tensor
        targets.setdefault(place.part, set()).add(place.path)
        renamed[path[: -len(rest) - 1]] = place.path
    raise_problems(f"{label} cannot be used:", problems)
    patterns = {
        name: {renamed.get(key, key): value for key, value in (config.get(name) or {}).items()}
        for name in ("rank_pattern", "alpha_pattern")
        if isinstance(config.get(name), dict)
    }
    return {
        part: AdapterPart({**config, **patterns, "target_modules": sorted(targets[part])}, own)
        for part, own in by_part.items()
    }, unmatched


def _find(path: str, names: ModuleNames, folder: str) -> tuple[Place | None, str]:
    """Return the module that a key belongs to, and what follows its path in the key."""
    pieces = path.split(".")
    for length in range(len(pieces) - 1, 0, -1):
        name = ".".join(pieces[:length])
        place = names.find(f"{folder}.{name}") if folder in names.parts else names.find(name)
        if place is not None:
            return place, ".".join(pieces[length:])
    return None, ""


def _write(path: Path, export: Export) -> None:
    with new_folder(path) as temporary:
        parts = {part: lora_part(layers) for part, layers in export.layers.items()}
        for part, content in {**parts, **export.whole}.items():
            write_json(temporary / part / CONFIG_NAME, dict(content.config))
            tensors = {key: export.tensor(tensor) for key, tensor in content.tensors.items()}
            write_tensors(temporary / part / TENSORS_NAME, tensors, {"format": "pt"})


FORMAT = Format(
    name="peft",
    title="PEFT folders",
    recognise=_recognise,
    read=_read,
    write=_write,
    kinds=frozenset({"lora", "dora"}),
    takes_whole=True,
    is_folder=True,
    order=0,
)
