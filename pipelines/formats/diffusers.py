"""diffusers' single file ``pytorch_lora_weights.safetensors``: ``unet.<path>.lora_A.weight``, and two older spellings.

Scales live in the metadata alone (``lora_adapter_metadata``, fields of PEFT's config behind the part's name); without
them diffusers takes 1. Written files need no scale and still state it. Text encoders keep the level ``text_model.``,
which diffusers takes off where transformers no longer has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.formats._format import Export, Format, Found, is_finite_number
from pipelines.formats._names import ModuleNames, Place, diffusers_name
from trainers.errors import UserError, raise_problems

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.formats._source import Source

METADATA_KEY = "lora_adapter_metadata"
_ROOTS = ("unet.", "transformer.", "text_encoder.", "text_encoder_2.", "text_encoder_3.")


def _recognise(source: Source) -> bool:
    from pipelines.formats._leaves import split_key

    return any(
        key.startswith(_ROOTS)
        or (("_blocks." in key or "mid_block." in key) and (split_key(key) or ("", ""))[1] in ("down", "up"))
        for key in source.tensors
    )


def _read(source: Source, names: ModuleNames) -> Found:
    from pipelines.formats._layered_file import read_layers
    from pipelines.formats._part_layers import peft_scale
    from pipelines.formats._source import json_of

    values = json_of(source.metadata.get(METADATA_KEY))
    configs = _configs(values) if isinstance(values, dict) else {}

    def alpha_of(part: str, path: str, rank: int) -> float | None:
        return peft_scale(configs[part], path, rank) * rank if part in configs else None

    found = read_layers(source, names, alpha_of)
    _check_magnitudes(source, found, configs)
    return found


def _check_magnitudes(source: Source, found: Found, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a DoRA in which modules lack their magnitude: diffusers would take the base's norms for it.

    Raises:
        UserError: the modules are named.
    """
    problems = [
        f"{part}/{path} lacks its magnitude"
        for part, layers in found.layers.items()
        for path, layer in layers.items()
        if configs.get(part, {}).get("use_dora") and not layer.magnitude
    ]
    raise_problems(f"{source.path.name} says that it is a DoRA, and is not whole:", problems)


def _configs(values: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Return part -> the fields that decide what factors mean, from ``unet.lora_alpha`` and the like.

    Raises:
        UserError: one of them is no number.
    """
    configs: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        part, _, field = str(key).partition(".")
        if field in ("lora_alpha", "alpha_pattern", "use_rslora", "use_dora"):
            configs.setdefault(part, {})[field] = value
    for part, config in configs.items():
        pattern = config.get("alpha_pattern") or {}
        numbers = [config.get("lora_alpha", 1), *(pattern.values() if isinstance(pattern, dict) else ["none"])]
        if not all(map(is_finite_number, numbers)):
            raise UserError(f"The file's metadata {METADATA_KEY} holds no usable alphas for {part}.")
        if isinstance(pattern, dict):  # paths in the pattern as the live model has them
            config["alpha_pattern"] = pattern | {k.removeprefix("text_model."): v for k, v in pattern.items()}
    return configs


def _write(path: Path, export: Export) -> None:
    import torch

    from pipelines.formats._metadata import modelspec_metadata
    from trainers.tensor_files import write_tensors

    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for part, layers in export.layers.items():
        for module, layer in layers.items():
            name = diffusers_name(Place(part, module))
            tensors[f"{name}.lora_A.weight"] = export.tensor(layer.tensors["down"])
            up = layer.tensors["up"].flatten(1)
            up = up.reshape(*up.shape, *[1] * (layer.tensors["down"].ndim - 2))
            tensors[f"{name}.lora_B.weight"] = export.tensor(up)
            if layer.magnitude:
                # PEFT, which loads the UNet, wants the bare name; transformers, which loads text encoders, a weight.
                end = ".weight" if part.startswith("text_encoder") else ""
                magnitude = layer.tensors["magnitude"]
                row = magnitude.reshape(1, -1, 1, 1) if layer.tensors["down"].ndim == 4 else magnitude
                tensors[f"{name}.lora_magnitude_vector{end}"] = export.tensor(row, torch.float32)
        ranks = {module: layer.rank for module, layer in layers.items()}
        common = max(set(ranks.values()), key=list(ranks.values()).count)
        order = sorted(ranks, key=len, reverse=True)
        pattern = {module: ranks[module] for module in order} if len(set(ranks.values())) > 1 else {}
        fields = {
            "r": common,
            "lora_alpha": common,
            "rank_pattern": pattern,
            "alpha_pattern": pattern,
            "target_modules": sorted(layers),
            "lora_bias": False,
            "use_dora": any(layer.magnitude for layer in layers.values()),
        }
        values |= {f"{part}.{key}": value for key, value in fields.items()}
    metadata = {"format": "pt", METADATA_KEY: json.dumps(values, sort_keys=True)}
    write_tensors(path, tensors, {**modelspec_metadata(export, tensors), **metadata})


FORMAT = Format(
    name="diffusers",
    title="diffusers LoRA file",
    recognise=_recognise,
    read=_read,
    write=_write,
    kinds=frozenset({"lora", "dora"}),
    order=30,
)
