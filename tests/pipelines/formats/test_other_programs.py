"""Files as other programs leave them: two spellings of a module, names in wrappings, 8-bit numbers, PEFT folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.families import LoadedBase, TextBase
from pipelines.importing import Imported, bring_in
from tests.pipelines.formats.support import EXACT, live_deltas
from tests.support import relative_error
from trainers.adapter_gate import part_problems
from trainers.errors import UserError
from trainers.storage import write_json

PATH = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
OTHER = PATH.replace("to_q", "to_k")
FLAT = f"lora_unet_{PATH.replace('.', '_')}"
ORIGINAL = "middle_block.1.transformer_blocks.0.attn1.to_q"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"
LANGUAGE = "model.layers.0.self_attn.q_proj"


def factors(number: int = 0, size: int = 32) -> tuple[Tensor, Tensor]:
    """Return down [2, size] and up [size, 2]."""
    generator = torch.Generator().manual_seed(number)
    return 0.3 * torch.randn(2, size, generator=generator), 0.3 * torch.randn(size, 2, generator=generator)


def kohya(name: str = FLAT, number: int = 0, alpha: float = 3.0) -> dict[str, Tensor]:
    down, up = factors(number)
    return {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(alpha)}


def peft(name: str, number: int = 0, adapter: str = "") -> dict[str, Tensor]:
    down, up = factors(number)
    return {f"{name}.lora_A{adapter}.weight": down, f"{name}.lora_B{adapter}.weight": up}


def imported(path: Path, tensors: Mapping[str, Tensor], base: LoadedBase) -> Imported:
    save_file(dict(tensors), path)
    return bring_in(path, base, "it")


def delta_of(found: Imported, base: LoadedBase, path: str = PATH, part: str = "unet") -> Tensor:
    return live_deltas(base, found.adapters["it"])[(part, path)][0]


def product(number: int = 0) -> Tensor:
    down, up = factors(number)
    return up.double() @ down.double()


def test_one_module_under_two_spellings_is_one_module(base: LoadedBase, tmp_path: Path) -> None:
    """Comfy-Org/ComfyUI#3494: the magnitude of a DoRA under a name with half its dots."""
    magnitude = torch.linspace(0.5, 1.5, 32)
    half = f"{FLAT.removesuffix('_to_q')}.to_q"
    found = imported(tmp_path / "a.safetensors", {**kohya(), f"{half}.lora_magnitude_vector": magnitude}, base)
    assert found.adapters["it"].card.parts["unet"].method == "dora"
    weight = base.parts["unet"].get_submodule(PATH)._parameters["weight"]
    assert weight is not None
    total = weight.detach().double() + 1.5 * product()
    expected = magnitude.double()[:, None] * total / total.norm(dim=1, keepdim=True) - weight.detach().double()
    assert relative_error(delta_of(found, base), expected) < EXACT


def test_factors_of_one_module_under_two_spellings_are_one_module(base: LoadedBase, tmp_path: Path) -> None:
    down, up = factors()
    tensors = {f"{FLAT}.lora_down.weight": down, f"lora_unet_{ORIGINAL.replace('.', '_')}.lora_up.weight": up}
    found = imported(tmp_path / "a.safetensors", {**tensors, f"unet.{PATH}.alpha": torch.tensor(4.0)}, base)
    assert dict(found.matched) == {"unet": 1}
    assert relative_error(delta_of(found, base), 2 * product()) < EXACT


@pytest.mark.parametrize(
    "tensors",
    [
        {**peft(f"unet.{PATH}"), **peft(f"unet.{PATH}", 1, ".default")},
        {**peft(f"unet.{PATH}", 0, ".one"), **peft(f"unet.{PATH}", 1, ".two")},
        {**kohya(), **peft(FLAT, 1)},
        {**kohya(), **kohya(f"lora_unet_{ORIGINAL.replace('.', '_')}", 1)},
    ],
    ids=["with and without a name", "two adapters", "two endings", "two names"],
)
def test_what_is_said_twice_of_a_module_is_refused_and_never_overwritten(
    base: LoadedBase, tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    with pytest.raises(UserError, match=r"the file names this module twice, with .* and "):
        imported(tmp_path / "a.safetensors", tensors, base)


@pytest.mark.parametrize(
    "name",
    [
        f"unet.base_model.model.{PATH}",
        f"base_model.model.unet.{PATH}",
        f"unet.base_model.model.base_model.model.{PATH}",
        f"unet.unet.{PATH}",
        f"base_model.model.diffusion_model.{ORIGINAL}",
        f"base_model.model.model.diffusion_model.{ORIGINAL}",
        f"unet._orig_mod.{PATH}",
        f"base_model.model._orig_mod.{PATH}",
        f"module.unet.{PATH}",
        FLAT.replace("lora_unet_", "lora_unet__orig_mod_"),
    ],
)
def test_names_in_wrappings_are_found(base: LoadedBase, tmp_path: Path, name: str) -> None:
    found = imported(tmp_path / "a.safetensors", peft(name), base)
    assert dict(found.matched) == {"unet": 1}
    assert relative_error(delta_of(found, base), product()) < EXACT


def test_a_wrapped_text_encoder_is_found(base: LoadedBase, tmp_path: Path) -> None:
    tensors = peft(f"text_encoder.base_model.model.{TEXT}", 2)
    tensors |= peft(f"text_encoder.text_encoder.{TEXT.replace('q_proj', 'k_proj')}")
    found = imported(tmp_path / "a.safetensors", {**peft(f"unet.{PATH}"), **tensors}, base)
    assert dict(found.matched) == {"unet": 1, "text_encoder": 2}
    own = delta_of(found, base, TEXT.removeprefix("text_model."), "text_encoder")
    assert relative_error(own, product(2)) < EXACT


@pytest.mark.parametrize("adapter", ["default", "default_0", "my-style"])
def test_the_name_of_an_adapter_in_the_keys_is_no_part_of_the_module(
    base: LoadedBase, tmp_path: Path, adapter: str
) -> None:
    """huggingface/diffusers#11790: keys as PEFT has them in memory."""
    found = imported(tmp_path / "a.safetensors", peft(PATH, 0, f".{adapter}"), base)
    assert relative_error(delta_of(found, base), product()) < EXACT


def test_a_bias_of_a_factor_is_not_taken_for_the_factor(base: LoadedBase, tmp_path: Path) -> None:
    tensors = {**peft(f"unet.{PATH}"), f"unet.{PATH}.lora_B.bias": torch.ones(32)}
    with pytest.raises(UserError, match=r"1 names do not, for example unet.*lora_B.bias"):
        imported(tmp_path / "a.safetensors", tensors, base)


def test_a_module_with_an_alpha_alone_changes_nothing(base: LoadedBase, tmp_path: Path) -> None:
    left = FLAT.replace("to_q", "to_k")
    found = imported(tmp_path / "a.safetensors", {**kohya(), f"{left}.alpha": torch.tensor(4.0)}, base)
    assert found.adapters["it"].card.parts["unet"].method == "lora"
    assert set(live_deltas(base, found.adapters["it"])) == {("unet", PATH)}
    assert relative_error(delta_of(found, base), 1.5 * product()) < EXACT
    assert found.notes == [f"1 module with an alpha alone, which changes nothing: {left}."]
    with pytest.raises(UserError, match=r"changes nothing of a base; give another file\. 1 module with an alpha alone"):
        imported(tmp_path / "b.safetensors", {f"{left}.alpha": torch.tensor(4.0)}, base)


def test_a_magnitude_alone_is_told(base: LoadedBase, tmp_path: Path) -> None:
    tensors = {**kohya(), f"{FLAT.replace('to_q', 'to_k')}.dora_scale": torch.ones(32, 1)}
    with pytest.raises(UserError, match=r"a magnitude \(dora_scale\) stands alone: its factors are missing"):
        imported(tmp_path / "a.safetensors", tensors, base)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_every_value_of_8_bits_is_read_as_it_is(base: LoadedBase, tmp_path: Path, kind: torch.dtype) -> None:
    every = torch.arange(256, dtype=torch.uint8).view(kind)
    finite = every.float()[torch.isfinite(every.float())].abs().unique()
    down = finite.repeat(64)[: 2 * 32].reshape(2, 32).to(kind)
    up = factors()[1].to(kind)
    tensors = {f"{FLAT}.lora_down.weight": down, f"{FLAT}.lora_up.weight": up, f"{FLAT}.alpha": torch.tensor(2.0)}
    found = imported(tmp_path / "a.safetensors", tensors, base)
    held = found.adapters["it"].parts["unet"].tensors
    for tensor, own in zip(held.values(), (down, up), strict=True):
        assert torch.equal(tensor.float(), own.float())
    assert found.notes == ["2 tensors of 8-bit floating point became float16, with the same values."]
    assert all(torch.equal(value.half().float(), value) for value in finite)


def test_scales_beside_8_bits_are_multiplied_in(base: LoadedBase, tmp_path: Path) -> None:
    down, up = (own.to(torch.float8_e4m3fn) for own in factors())
    rows = torch.linspace(0.5, 2, 32)
    tensors = {
        "scaled_fp8": torch.ones(1).to(torch.float8_e4m3fn),
        f"{FLAT}.lora_down.weight": down,
        f"{FLAT}.lora_down.scale_weight": torch.tensor(3.0),
        f"{FLAT}.lora_up.weight": up,
        f"{FLAT}.lora_up.weight_scale": rows,
    }
    found = imported(tmp_path / "a.safetensors", tensors, base)
    assert relative_error(delta_of(found, base), 3 * (rows.double()[:, None] * up.double()) @ down.double()) < EXACT
    tensors[f"{FLAT}.lora_up.input_scale"] = torch.tensor(1.0)
    with pytest.raises(UserError, match=r"1 names do not, for example .*lora_up.input_scale"):
        imported(tmp_path / "b.safetensors", tensors, base)


def test_8_bits_that_are_no_number_and_whole_numbers_are_refused(base: LoadedBase, tmp_path: Path) -> None:
    _, up = factors()
    for down, said in (
        (torch.full((2, 32), float("nan")).to(torch.float8_e4m3fn), "not finite"),
        (torch.full((2, 32), float("inf")).to(torch.float8_e5m2), "not finite"),
        (torch.ones(2, 32).to(torch.int8), "is of type int8"),
    ):
        with pytest.raises(UserError, match=said):
            imported(tmp_path / "a.safetensors", {f"{FLAT}.lora_down.weight": down, f"{FLAT}.lora_up.weight": up}, base)


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


def test_a_dora_of_diffusers_has_a_magnitude_for_every_module(base: LoadedBase, tmp_path: Path) -> None:
    tensors = {**peft(f"unet.{PATH}"), **peft(f"unet.{OTHER}")}
    metadata = {"lora_adapter_metadata": '{"unet.r": 2, "unet.lora_alpha": 2, "unet.use_dora": true}'}
    save_file({**tensors, f"unet.{PATH}.lora_magnitude_vector": torch.ones(32)}, tmp_path / "a.safetensors", metadata)
    with pytest.raises(UserError, match=rf"says that it is a DoRA, and is not whole:\n  - unet/{OTHER} lacks"):
        bring_in(tmp_path / "a.safetensors", base, "it")


@pytest.mark.parametrize(("declared", "notes"), [("sdxl_base_v1-0", 1), ("sd_v1", 0), ("", 0), ("sd1-pocket", 0)])
def test_a_file_that_names_another_kind_of_base_is_told_although_all_fits(
    base: LoadedBase, tmp_path: Path, declared: str, notes: int
) -> None:
    """A LoRA of SDXL's first text encoder alone fits the one of SD 1.x."""
    tensors = kohya(f"lora_te1_{TEXT.replace('.', '_')}")
    save_file(tensors, tmp_path / "a.safetensors", {"ss_base_model_version": declared})
    found = bring_in(tmp_path / "a.safetensors", base, "it")
    assert len(found.notes) == notes
    assert all("says that it is for sdxl_base_v1-0, and the base" in note for note in found.notes)


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
