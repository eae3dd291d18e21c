"""PEFT folders of other programs: what chose the modules, prefixes, two adapters in one, halves of a DoRA."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.families import TextBase
from pipelines.importing import bring_in
from tests.pipelines.formats.support import EXACT
from tests.pipelines.formats.test_other_programs import delta_of, peft, product
from tests.support import relative_error
from trainers.adapter_gate import part_problems
from trainers.errors import UserError
from trainers.storage import write_json

LANGUAGE = "model.layers.0.self_attn.q_proj"
CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}


def folder(path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Path:
    path.mkdir(parents=True)
    write_json(path / "adapter_config.json", dict(config))
    save_file(dict(tensors), path / "adapter_model.safetensors")
    return path


@pytest.mark.parametrize(
    "choice",
    [
        {"target_modules": r"(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:q_proj|v_proj))"},
        {"target_modules": "all-linear"},
        {"target_modules": r"(a+)+$"},
        {"target_modules": None},
        {"layers_to_transform": [0], "layers_pattern": "layers"},
        {"exclude_modules": r".*k_proj"},
    ],
)
def test_whatever_chose_the_modules_the_tensors_name_them(
    text_base: TextBase, tmp_path: Path, choice: dict[str, Any]
) -> None:
    path = folder(tmp_path / "a", {**CONFIG, **choice}, peft(f"base_model.model.{LANGUAGE}"))
    found = bring_in(path, text_base, "it")
    part = found.adapters["it"].parts["language_model"]
    assert part.config["target_modules"] == [LANGUAGE]
    assert not {"exclude_modules", "layers_to_transform", "layers_pattern"} & part.config.keys()
    assert part_problems(part.config, part.tensors) == []
    assert relative_error(delta_of(found, text_base, LANGUAGE, "language_model"), 2 * product()) < EXACT


@pytest.mark.parametrize(
    "changed", [{"alpha_pattern": {"(a+)+$": 3}}, {"layer_replication": [[0, 1]]}, {"lora_bias": True}]
)
def test_what_changes_the_arithmetic_is_still_refused(
    text_base: TextBase, tmp_path: Path, changed: dict[str, Any]
) -> None:
    path = folder(tmp_path / "a", {**CONFIG, **changed}, peft(f"base_model.model.{LANGUAGE}"))
    with pytest.raises(UserError, match=next(iter(changed))):
        bring_in(path, text_base, "it")


@pytest.mark.parametrize("name", [LANGUAGE, f"base_model.model.base_model.model.{LANGUAGE}", f"_orig_mod.{LANGUAGE}"])
@pytest.mark.parametrize("adapter", ["", ".default"])
def test_folders_with_other_prefixes_than_pefts(text_base: TextBase, tmp_path: Path, name: str, adapter: str) -> None:
    found = bring_in(folder(tmp_path / "a", CONFIG, peft(name, 0, adapter)), text_base, "it")
    assert relative_error(delta_of(found, text_base, LANGUAGE, "language_model"), 2 * product()) < EXACT


def test_the_file_in_a_folder_of_peft_is_read_with_its_config(text_base: TextBase, tmp_path: Path) -> None:
    path = folder(tmp_path / "a", CONFIG, peft(f"base_model.model.{LANGUAGE}"))
    found = bring_in(path / "adapter_model.safetensors", text_base, "it")
    assert relative_error(delta_of(found, text_base, LANGUAGE, "language_model"), 2 * product()) < EXACT


def test_two_adapters_in_one_folder_are_told_apart(text_base: TextBase, tmp_path: Path) -> None:
    """huggingface/peft#1059: saving a model with two adapters writes one into a folder of the other."""
    root = folder(tmp_path / "a", CONFIG, peft(f"base_model.model.{LANGUAGE}"))
    folder(root / "other", CONFIG, peft(f"base_model.model.{LANGUAGE}", 1))
    with pytest.raises(UserError, match="holds two adapters for the language_model, in a and in other"):
        bring_in(root, text_base, "it")
    found = bring_in(root / "other", text_base, "it")
    assert relative_error(delta_of(found, text_base, LANGUAGE, "language_model"), 2 * product(1)) < EXACT


def test_a_module_twice_in_a_folder_is_refused(text_base: TextBase, tmp_path: Path) -> None:
    tensors = {**peft(f"base_model.model.{LANGUAGE}"), **peft(LANGUAGE, 1)}
    with pytest.raises(UserError, match=rf"names language_model/{LANGUAGE} twice, with base_model"):
        bring_in(folder(tmp_path / "a", CONFIG, tensors), text_base, "it")


def test_8_bits_in_a_folder_are_widened(text_base: TextBase, tmp_path: Path) -> None:
    eight = {key: tensor.to(torch.float8_e4m3fn) for key, tensor in peft(f"base_model.model.{LANGUAGE}").items()}
    found = bring_in(folder(tmp_path / "a", CONFIG, eight), text_base, "it")
    down, up = (tensor.double() for tensor in eight.values())
    assert relative_error(delta_of(found, text_base, LANGUAGE, "language_model"), 2 * up @ down) < EXACT
    assert "8-bit floating point became float16" in found.notes[0]


def test_a_dora_in_a_folder_has_a_magnitude_for_every_module(text_base: TextBase, tmp_path: Path) -> None:
    """Without one, PEFT would take the base's norms, and another weight than the trained one would come of it."""
    both = {**peft(f"base_model.model.{LANGUAGE}"), **peft(f"base_model.model.{LANGUAGE.replace('q_', 'v_')}")}
    config = {**CONFIG, "use_dora": True}
    magnitudes = {f"base_model.model.{LANGUAGE}.lora_magnitude_vector": torch.linspace(0.5, 1.5, 32)}
    for number, some in enumerate(({}, magnitudes)):
        with pytest.raises(UserError, match=r"it is a DoRA \(use_dora\), but .*v_proj lacks its lora_magnitude_vector"):
            bring_in(folder(tmp_path / str(number), config, {**both, **some}), text_base, "it")
    tensors = {**peft(f"base_model.model.{LANGUAGE}"), **{f"{key}.weight": own for key, own in magnitudes.items()}}
    found = bring_in(folder(tmp_path / "whole", config, tensors), text_base, "it")
    assert found.adapters["it"].card.parts["language_model"].method == "dora"
