"""Files as other programs leave them: two spellings of a module, names in wrappings, 8-bit numbers."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.families import LoadedBase
from pipelines.importing import Imported, bring_in
from tests.pipelines.formats.support import EXACT, live_deltas
from tests.support import relative_error
from trainers.errors import UserError

PATH = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
OTHER = PATH.replace("to_q", "to_k")
FLAT = f"lora_unet_{PATH.replace('.', '_')}"
ORIGINAL = "middle_block.1.transformer_blocks.0.attn1.to_q"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"


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
    with pytest.raises(UserError, match=r"1 name does not, for example unet.*lora_B.bias"):
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
    with pytest.raises(UserError, match=r"1 name does not, for example .*lora_up.input_scale"):
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
