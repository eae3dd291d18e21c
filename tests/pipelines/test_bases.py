"""Finding and loading a base: every broken folder is one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipelines.bases import choose_device, choose_dtype, load_base
from pipelines.fingerprint import fingerprint_of_folder
from trainers.errors import UserError


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "copy"))


def _empty(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(b"")


def _cut(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:5000])


def _text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _edit(name: str, **changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    "spoil",
    [
        _empty(UNET),
        _cut(UNET),
        _text(UNET, "this is no tensor file"),
        lambda folder: (folder / UNET).unlink(),
        _empty("text_encoder/model.safetensors"),
        _cut("vae/diffusion_pytorch_model.safetensors"),
        _text("unet/config.json", "{"),
        _edit("unet/config.json", block_out_channels=[32, 64]),
        lambda folder: shutil.rmtree(folder / "vae"),
        lambda folder: shutil.rmtree(folder / "tokenizer"),
        lambda folder: shutil.rmtree(folder / "scheduler"),
        _text("scheduler/scheduler_config.json", "{}"),
        _text("scheduler/scheduler_config.json", "[]"),
        _edit("scheduler/scheduler_config.json", _class_name="NoScheduler"),
        _edit("scheduler/scheduler_config.json", _class_name="logging"),
        _edit("scheduler/scheduler_config.json", _class_name="load_image"),
        _edit("scheduler/scheduler_config.json", _class_name="UNet2DConditionModel"),
        _edit("scheduler/scheduler_config.json", prediction_type="sample"),
        _text("model_index.json", "{"),
        _text("model_index.json", "[]"),
        _edit("model_index.json", _class_name="FluxPipeline"),
    ],
)
def test_a_broken_base_is_refused_in_one_sentence(copy: Path, spoil: Callable[[Path], object]) -> None:
    spoil(copy)
    with pytest.raises(UserError) as caught:
        load_base(str(copy), device="cpu")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "name", ["nowhere", "/nowhere/at/all", "./nowhere", "owner/model", "owner/model@main", "", ".."]
)
def test_a_base_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="base"):
        load_base(name, device="cpu")


def test_devices_and_precisions() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for wrong in ("gpu", "cuda:x", "cuda:99", ""):
        with pytest.raises(UserError, match="device"):
            choose_device(wrong)
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32
    assert choose_dtype("bf16", torch.device("cpu")) == torch.bfloat16
    with pytest.raises(UserError, match="'fp8' is unknown"):
        choose_dtype("fp8", torch.device("cpu"))


def test_a_base_is_called_by_its_folder_and_loaded_in_the_asked_precision(copy: Path) -> None:
    base = load_base(str(copy), device="cpu", precision="bf16")
    assert base.name == "copy"
    assert {p.dtype for module in base.parts.values() for p in module.parameters()} == {torch.bfloat16}


def test_the_fingerprint_knows_the_weights_and_not_the_place(tiny_base: Path, copy: Path) -> None:
    components = ("unet", "text_encoder", "vae")
    before = fingerprint_of_folder(tiny_base, components)
    assert fingerprint_of_folder(copy, components) == before
    for name in (UNET, "text_encoder/model.safetensors", "vae/diffusion_pytorch_model.safetensors"):
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(bytes(content))
        changed = fingerprint_of_folder(copy, components)
        assert changed != before
        before = changed


def test_the_fingerprint_reads_files_up_to_four_mebibytes_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    size = 4 << 20
    content = bytearray(size)
    path.write_bytes(bytes(content))
    before = fingerprint_of_folder(tmp_path, (".",))
    for offset in range(0, size, size // 37):
        content[offset] ^= 255
        path.write_bytes(bytes(content))
        assert fingerprint_of_folder(tmp_path, (".",)) != before
        content[offset] ^= 255
