"""What a part of an adapter from elsewhere must be before PEFT sees any of it.

Sizes are capped, names are literal, ranks are those of the tensors, every value is finite, A is paired with B, and no
field is set that names code, holds a pattern, or changes the arithmetic in a way unknown here.
"""

import reprlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainers.card import CONFIG_NAME, NAME_CHARACTERS, TENSORS_NAME

_LIMIT_TENSORS = 20_000
_LIMIT_PATTERNS = 5_000
_LIMIT_RANK = 16_384
_LIMIT_SETTINGS = 50
_ALWAYS_ALLOWED = 64  # a whole number up to this allocates nothing to speak of
_OWN_PREFIX = "STUDIO_"
_EMBEDDING_DOWN, _EMBEDDING_UP = ".lora_embedding_A", ".lora_embedding_B"
_WHOLE_DTYPES = (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Fields of PEFT's config that are checked below, or that nothing here acts on.
_CHECKED_FIELDS = frozenset(
    {
        *("peft_type", "task_type", "peft_version", "base_model_name_or_path", "revision", "inference_mode"),
        "auto_mapping",  # names of the base's classes, which are never looked up
        *("r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "rank_pattern", "alpha_pattern"),
        *("use_rslora", "use_dora", "fan_in_fan_out"),
    }
)
_USUAL_VALUES = {"bias": "none", "megatron_core": "megatron.core", "qalora_group_size": 16}
_HARMLESS_STARTS = ("gaussian", "orthogonal", "eva")  # others also changed the base's weights


def part_problems(config: Any, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what is wrong with one part, as sentences."""
    if not isinstance(config, dict):
        return [f"{CONFIG_NAME} is not a JSON object"]
    problems = [*_config_problems(config), *tensor_problems(tensors), *_pair_problems(tensors)]
    problems += _rank_problems(config, tensors)
    problems += _size_problems(config, tensors)
    return problems


def tensor_problems(tensors: Mapping[str, Tensor], whole_numbers: tuple[str, ...] = ()) -> list[str]:
    """Return what is wrong with a file's tensors, whatever they mean.

    Args:
        whole_numbers: ends of keys that may also hold one whole number.
    """
    problems = [] if tensors else ["it holds no tensor"]
    if len(tensors) > _LIMIT_TENSORS:
        problems.append(f"{len(tensors)} tensors, at most {_LIMIT_TENSORS} are read")
    checked = {
        name: tensor
        for name, tensor in tensors.items()
        if not (name.endswith(whole_numbers or ("\0",)) and tensor.dtype in _WHOLE_DTYPES and tensor.numel() == 1)
    }
    return problems + [f"{name} {problem}" for name, tensor in checked.items() if (problem := _value_problem(tensor))]


def _is_down(name: str) -> bool:
    """Return whether a tensor is a LoRA's down factor A [rank, in]; of a table of words, `in` counts the words."""
    return ".lora_A." in name or name.endswith(_EMBEDDING_DOWN)


def _rank_problems(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[str]:
    """PEFT allocates what the config declares before it looks at a tensor, so a declared rank must be real."""
    found = [tensor.shape[0] for name, tensor in tensors.items() if _is_down(name) and tensor.ndim]
    if not found:
        return [f"{TENSORS_NAME} holds no LoRA factors"] if config.get("peft_type") == "LORA" else []
    pattern = config.get("rank_pattern")
    declared = [config.get("r", 8), *(pattern.values() if isinstance(pattern, dict) else ())]
    highest = min(max(found), _LIMIT_RANK)
    wrong = [rank for rank in declared if type(rank) is not int or not 1 <= rank <= highest]
    problems = [f"{CONFIG_NAME} declares the ranks {_shown(wrong)}, the tensors go up to {max(found)}"] if wrong else []
    return problems + ([f"rank {max(found)}, at most {_LIMIT_RANK} is read"] if max(found) > _LIMIT_RANK else [])


def _config_problems(config: Mapping[str, Any]) -> list[str]:
    problems = []
    for key in ("target_modules", "exclude_modules"):
        names = config.get(key)
        if names is None and key == "exclude_modules":
            continue
        # A single string is a regular expression to PEFT, and a hostile one never returns.
        if not (isinstance(names, list) and len(names) <= _LIMIT_TENSORS and all(map(_is_module_name, names))):
            problems.append(f"{key} must be a list of plain module names, not {_shown(names)}")
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = config.get(key)
        if pattern is None:
            continue
        plain = (
            isinstance(pattern, dict) and all(map(_is_module_name, pattern)) and all(map(_is_factor, pattern.values()))
        )
        if not plain or len(pattern) > _LIMIT_PATTERNS:
            problems.append(f"{key} must map plain module names to numbers, not {_shown(pattern)}")
    if not _is_factor(config.get("lora_alpha", 1)):
        problems.append(f"lora_alpha must be a finite number up to 1e6, not {_shown(config['lora_alpha'])}")
    dropout = config.get("lora_dropout", 0.0)
    if not _is_factor(dropout) or not 0 <= dropout < 1:
        problems.append(f"lora_dropout must be from 0 to below 1, not {_shown(dropout)}")
    for key in ("use_rslora", "use_dora", "fan_in_fan_out", "inference_mode"):
        if not isinstance(config.get(key) or False, bool):
            problems.append(f"{key} must be true or false, not {_shown(config[key])}")
    if not isinstance(config.get("peft_type"), str):
        problems.append(f"peft_type must be a word, not {_shown(config.get('peft_type'))}")
    return problems + _variant_problems(config)


def _variant_problems(config: Mapping[str, Any]) -> list[str]:
    """Refuse every other field that is set to something unusual."""
    problems = []
    for key, value in config.items():
        if key in _CHECKED_FIELDS or not value or _USUAL_VALUES.get(key) == value:
            continue
        if key.startswith("init_") and (value is True or value in _HARMLESS_STARTS):
            continue
        # Other methods' own fields: PEFT looks words up in tables of its own, and `_size_problems` bounds the numbers.
        word = _is_word(value) and not key.startswith("init_")
        if config.get("peft_type") != "LORA" and (word or _is_factor(value)):
            continue
        if key == "feedforward_modules" and _is_names(value):  # IA3's layers that are scaled on their input
            continue
        if _is_own(config) and key == "settings":
            problems += _settings_problems(value)
            continue
        problems.append(f"{key} = {_shown(value)} is not accepted")
    return problems


def _is_own(config: Mapping[str, Any]) -> bool:
    """Return whether the part is of a method that this project brings along."""
    return str(config.get("peft_type")).startswith(_OWN_PREFIX)


def _settings_problems(settings: Any) -> list[str]:
    """Our own methods' settings are numbers, words, and lists of plain names."""
    if not isinstance(settings, dict) or len(settings) > _LIMIT_SETTINGS:
        return [f"settings must be a short mapping, not {_shown(settings)}"]
    return [
        f"settings: {_shown(key)} = {_shown(value)} is not accepted"
        for key, value in settings.items()
        if not (_is_word(key) and (value is None or _is_factor(value) or _is_word(value) or _is_names(value)))
    ]


def _size_problems(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[str]:
    """Bound the whole numbers of other methods than LoRA, from which they allocate, by the tensors that are there."""
    if config.get("peft_type") == "LORA":
        return []
    largest = max([_ALWAYS_ALLOWED, *(size for tensor in tensors.values() for size in tensor.shape)])
    settings = config.get("settings") if _is_own(config) else None
    values = {**config, **(settings if isinstance(settings, dict) else {})}
    pattern = config.get("rank_pattern")
    ranks = {f"rank_pattern of {name}": rank for name, rank in pattern.items()} if isinstance(pattern, dict) else {}
    return [
        f"{_shown(key)} = {value} is more than the tensors' {largest}"
        for key, value in {**values, **ranks}.items()
        if type(value) is int and value > largest and not str(key).endswith(("seed", "prng_key"))
    ]


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 40 and set(value) <= NAME_CHARACTERS


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _LIMIT_TENSORS and all(map(_is_module_name, value))


def _is_module_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= 300 and set(name) <= NAME_CHARACTERS


def _is_factor(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= 1e6  # NaN compares false


def _shown(value: Any) -> str:
    return reprlib.repr(value)


def _pair_problems(tensors: Mapping[str, Tensor]) -> list[str]:
    """Check that every down factor has its up factor and that both have the same rank."""
    problems = []
    for name, tensor in tensors.items():
        if _is_down(name):
            partner = tensors.get(name.replace(".lora_A.", ".lora_B.").replace(_EMBEDDING_DOWN, _EMBEDDING_UP))
            if partner is None:
                problems.append(f"{name} has no lora_B")
            elif tensor.ndim < 2 or partner.ndim < 2 or tensor.shape[0] != partner.shape[1]:
                problems.append(f"{name} {list(tensor.shape)} and its lora_B {list(partner.shape)} differ in rank")
        elif ".lora_B." in name and name.replace(".lora_B.", ".lora_A.") not in tensors:
            problems.append(f"{name} has no lora_A")
        elif name.endswith(_EMBEDDING_UP) and name.replace(_EMBEDDING_UP, _EMBEDDING_DOWN) not in tensors:
            problems.append(f"{name} has no lora_embedding_A")
    return problems


def _value_problem(tensor: Tensor) -> str | None:
    if tensor.dtype not in _DTYPES:
        return f"is of type {str(tensor.dtype).removeprefix('torch.')}; floating point of 16 to 64 bits is read"
    if tensor.numel() == 0:
        return "is empty"
    return None if is_finite(tensor) else "holds values that are not finite"


def is_finite(tensor: Tensor) -> bool:
    """Return whether every value is a number."""
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
