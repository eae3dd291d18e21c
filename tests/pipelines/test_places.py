"""A base is what it is: a path that is there is never denied nor looked up on the hub, and every wrong one is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipelines.bases import load_base, load_image_base, load_text_base, role_of
from pipelines.captioners import find_model
from pipelines.places import folder_here, is_hub_id
from pipelines.weight_files import variant_of, weight_files
from tests.support import write_tiny_judge
from trainers.errors import UserError
from trainers.paths import path_of


def refused(name: str, look: Callable[[str], object] = role_of) -> str:
    with pytest.raises(UserError) as caught:
        look(name)
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.mark.parametrize("look", [role_of, find_model])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_single_file_that_is_there_is_said_to_be_one(
    here: Path, absolute: bool, look: Callable[[str], object]
) -> None:
    file = here / "models/sd.safetensors"
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}, file)
    said = refused(str(file if absolute else file.relative_to(here)), look)
    assert "is a single file" in said
    assert "StableDiffusionPipeline.from_single_file(" in said
    assert "hub" not in said
    assert "not exist" not in said


@pytest.mark.parametrize(
    ("name", "keys", "expected"),
    [
        ("xl.safetensors", ["conditioner.embedders.0.x"], "StableDiffusionXLPipeline.from_single_file"),
        ("lora.safetensors", ["lora_unet_x.lora_down.weight"], "an adapter's file, not a model"),
        ("v1-5.ckpt", [], "a pickle, which can run code when it is read, so it is never read"),
        ("model.bin", [], "a pickle"),
        ("llama.gguf", [], "GGUF, which is not read"),
        ("broken.safetensors", [], "is a single file"),
    ],
)
def test_what_kind_of_file_it_is_and_what_to_do(here: Path, name: str, keys: list[str], expected: str) -> None:
    if keys:
        save_file({key: torch.zeros(1) for key in keys}, here / "models" / name)
    else:
        (here / "models" / name).write_bytes(b"not tensors")
    assert expected in refused(f"models/{name}")


def test_a_file_of_a_model_leads_to_its_folder(here: Path, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, here / "sd")
    said = refused("sd/unet/diffusion_pytorch_model.safetensors")
    assert f"is one file of a model. Give the model's folder instead: {here / 'sd'}." in said


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        ("owner/model", True),
        ("stabilityai/stable-diffusion-2-1", True),
        ("owner/model@refs/pr/3", True),
        ("owner/model.v1.5", True),
        ("models/sd.safetensors", False),
        ("models/sd.CKPT", False),
        ("models/sd15/unet", False),
        ("./model", False),
        ("../model", False),
        ("~/model", False),
        ("C:\\models\\sd", False),
        ("C:/models", False),
        ("owner\\model", False),
        ("owner/..", False),
        ("模型/sd", False),
        ("owner/model\n", False),
    ],
)
def test_what_can_be_a_path_is_no_hub_id(here: Path, name: str, hub: bool) -> None:
    assert is_hub_id(name) is hub
    if hub:
        assert folder_here(name, "The base", "") is None
    else:
        assert "does not exist" in refused(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("https://huggingface.co/owner/model/tree/main", "is an address. Give a folder, or 'owner/model' as the hub"),
        ("https://civitai.com/models/1", "is an address. Give a folder, or 'owner/model'"),
        ("file:///models/sd", "is an address"),
        ('"models"', "does not exist. Without the quotes and spaces around it, 'models', it does."),
        ("models \n", "Without the quotes and spaces around it, 'models', it does."),
    ],
)
def test_what_was_pasted_is_told(here: Path, name: str, expected: str) -> None:
    assert expected in refused(name)


def test_folders_of_links_and_with_brackets_are_bases(here: Path, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, here / "[FLX] Größe 絵")
    assert load_base("[FLX] Größe 絵", device="cpu").name == "[FLX] Größe 絵"
    for path in tiny_base.rglob("*.*"):
        link = here / "linked" / path.relative_to(tiny_base)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    assert load_base("linked", device="cpu").name == "linked"


def test_a_folder_of_the_hubs_cache_leads_to_its_snapshot(here: Path, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, here / "models--owner--name/snapshots/0123abc")
    assert "Give one of them: models--owner--name/snapshots/0123abc." in refused("models--owner--name")


def test_a_misspelt_path_is_told_with_the_nearest_name(here: Path) -> None:
    (here / "models/stable").mkdir()
    assert "Did you mean './models/stable'?" in refused("./models/stabel")


def test_the_home_folder_is_expanded_and_others_homes_are_told(
    here: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    shutil.copytree(tiny_base, here / "sd")
    assert load_base("~/sd", device="cpu").name == "sd"
    assert path_of("~") == here
    for name in ("~nobody-of-that-name/sd", "a\0b"):
        assert "The path" in refused(name)
    assert "cannot be looked at" in refused("./" + "x" * 5000)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sd/unet", "It holds one part of a model, UNet2DConditionModel. Give the folder above it, HERE/sd."),
        ("sd/text_encoder", "It holds one part of a model, CLIPTextModel. Give the folder above it"),
        ("alone", "It holds one part of a model, UNet2DConditionModel. Take a whole model's folder"),
        (".", "It holds bases in folders of their own. Give one of them: "),
        ("models", "It holds sd.safetensors, without the folders and settings of a model."),
        ("judge", "It holds a model of another kind, CLIPModel."),
        ("adapter", "It is an adapter, not a base"),
        ("flux", "Its model_index.json names 'FluxPipeline', a pipeline that is not known here."),
        ("loose", "It holds unet, vae, but no model_index.json"),
        ("empty", "It is empty."),
    ],
)
def test_a_folder_that_is_no_base_is_described(here: Path, tiny_base: Path, given: str, expected: str) -> None:
    shutil.copytree(tiny_base, here / "sd")
    (here / "models/sd.safetensors").touch()
    shutil.copytree(tiny_base / "unet", here / "alone")
    for part in ("unet", "vae"):
        shutil.copytree(tiny_base / part, here / "loose" / part)
    for name, file, values in (
        ("judge", "config.json", {"architectures": ["CLIPModel"]}),
        ("adapter", "adapter_config.json", {}),
        ("flux", "model_index.json", {"_class_name": "FluxPipeline"}),
    ):
        (here / name).mkdir()
        (here / name / file).write_text(json.dumps(values))
    (here / "empty").mkdir()
    assert expected.replace("HERE", str(here)) in refused(given)


def test_the_wrong_role_is_told_both_ways(tiny_base: Path, tiny_language: Path) -> None:
    assert "is a language model" in refused(str(tiny_language), load_image_base)
    assert "is a diffusion model" in refused(str(tiny_base), load_text_base)


def _renamed(folder: Path, variant: str) -> Path:
    for path in list(folder.rglob("*.safetensors")):
        path.rename(path.with_name(path.name.replace(".safetensors", f".{variant}.safetensors")))
    return folder


@pytest.mark.parametrize("family", ["sd1", "sdxl", "causal_lm"])
def test_weights_of_one_variant_alone_are_loaded(tiny_bases: dict[str, Path], tmp_path: Path, family: str) -> None:
    folder = _renamed(Path(shutil.copytree(tiny_bases[family], tmp_path / "b")), "fp16")
    found, plain = load_base(str(folder), device="cpu"), load_base(str(tiny_bases[family]), device="cpu")
    for part, module in plain.parts.items():
        values = found.parts[part].state_dict()
        assert all(torch.equal(value, values[key]) for key, value in module.state_dict().items())


def test_shards_of_a_variant_are_loaded(tiny_language: Path, shared_text_base: object, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = Path(shutil.copytree(tiny_language, tmp_path / "b"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, variant="fp16", max_shard_size="20KB")
    assert len(list(folder.glob("model.fp16-*.safetensors"))) > 1
    assert variant_of(folder) == "fp16"
    loaded = load_base(str(folder), device="cpu").parts["language_model"].state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in model.state_dict().items())


def test_a_judge_of_one_variant_is_loaded(tmp_path: Path) -> None:
    from pipelines.judge import Judge

    write_tiny_judge(tmp_path / "judge")
    Judge(str(_renamed(tmp_path / "judge", "fp16")), device="cpu")


@pytest.mark.parametrize(
    ("names", "variant"),
    [
        (["model.safetensors", "model.fp16.safetensors"], None),
        (["model.fp16.safetensors"], "fp16"),
        (["diffusion_pytorch_model-00001-of-00002.bf16.safetensors"], "bf16"),
        (["diffusion_pytorch_model.non_ema.safetensors"], "non_ema"),
        (["pytorch_model_of_mine.safetensors"], None),
    ],
)
def test_which_files_are_read(tmp_path: Path, names: list[str], variant: str | None) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert variant_of(tmp_path) == variant
    assert [path.name for path in weight_files(tmp_path)] == names[:1]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model.fp16.safetensors", "model.bf16.safetensors"], "holds its weights as bf16 and fp16 alone. Keep"),
        (["pytorch_model.bin"], "holds no .safetensors file. It holds pytorch_model.bin, which is not read."),
    ],
)
def test_a_choice_of_variants_and_pickles_are_told(tmp_path: Path, names: list[str], expected: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=expected):
        variant_of(tmp_path)
