"""SDXL: what diffusers' own pipeline does with the same weights, and the whole way from training to other programs."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipelines.attach import attached
from pipelines.bases import load_base, quiet_libraries
from pipelines.families import LoadedBase
from studio.cli.main import main
from studio.library.library import Library
from tests.support import draw_pictures, random_adapter

TEXT_PARTS = ("text_encoder", "text_encoder_2")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tiny_bases: dict[str, Path]) -> Path:
    return tiny_bases["sdxl"]


@pytest.fixture(scope="module")
def sdxl(folder: Path) -> LoadedBase:
    return load_base(str(folder), device="cpu")


@pytest.fixture
def pipeline(folder: Path) -> Iterator[Any]:
    from diffusers import StableDiffusionXLPipeline

    with quiet_libraries():
        made: Any = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
        made.set_progress_bar_config(disable=True)
        yield made


@torch.no_grad()
def test_text_size_and_pictures_are_those_of_diffusers(sdxl: LoadedBase, pipeline: Any) -> None:
    own = sdxl.encode_text(["a red boat", ""])
    words, nothing, whole, no_whole = pipeline.encode_prompt("a red boat", negative_prompt=None)
    assert torch.allclose(own["encoder_hidden_states"], torch.cat([words, nothing]), atol=1e-5)
    assert torch.allclose(own["text_embeds"], torch.cat([whole, no_whole]), atol=1e-5)
    assert not nothing.any()
    noise = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(1))
    seen: dict[str, Any] = {}
    handle = pipeline.unet.register_forward_pre_hook(lambda _, args, kwargs: seen.update(kwargs), with_kwargs=True)
    theirs = pipeline("a red boat", latents=noise, num_inference_steps=1, guidance_scale=1.0, output_type="np",
                      height=32, width=48)  # fmt: skip
    handle.remove()
    ours = sdxl.sample({k: v[:1] for k, v in own.items()}, {k: v[1:] for k, v in own.items()}, noise,
                       num_inference_steps=1, guidance_scale=1.0, on_step=lambda step: None)  # fmt: skip
    assert ours[0].size == (48, 32)
    assert np.abs(np.asarray(ours[0]) - 255 * theirs.images[0]).max() < 1
    asked: dict[str, Any] = {}
    unet: Any = sdxl.parts["unet"]
    handle = unet.register_forward_pre_hook(lambda _, args, kwargs: asked.update(kwargs), with_kwargs=True)
    sdxl.predict(noise, torch.tensor([500]), {k: v[:1] for k, v in own.items()})
    handle.remove()
    for name, value in seen["added_cond_kwargs"].items():
        assert torch.allclose(asked["added_cond_kwargs"][name], value, atol=1e-5), name


@torch.no_grad()
def test_an_empty_prompt_is_zeros_only_where_the_base_says_so(
    sdxl: LoadedBase, folder: Path, tmp_path: Path, pipeline: Any
) -> None:
    """As diffusers takes no negative prompt; where the base says no, it is what the encoders make of no words."""
    shutil.copytree(folder, tmp_path / "base")
    index = tmp_path / "base" / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "force_zeros_for_empty_prompt": False}))
    words = load_base(str(tmp_path / "base"), device="cpu").encode_text(["", "a boat"])
    pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    _, hidden, _, pooled = pipeline.encode_prompt("a boat", negative_prompt=None)
    assert hidden.any()
    assert torch.allclose(words["encoder_hidden_states"][:1], hidden, atol=1e-5)
    assert torch.allclose(words["text_embeds"][:1], pooled, atol=1e-5)
    zeros = sdxl.encode_text(["", "a boat"])
    for name, value in zeros.items():
        assert not value[0].any()
        assert torch.equal(value[1], words[name][1])


@pytest.mark.parametrize("part", TEXT_PARTS)
@torch.no_grad()
def test_a_prompts_weight_moves_every_output_in_proportion(sdxl: LoadedBase, part: str) -> None:
    plain = sdxl.encode_text(["a boat"])
    adapter = random_adapter(sdxl, method="prompt_tuning", parts=(part,))
    found = {}
    with attached(sdxl, {"a": adapter}) as attachments:
        for weight in (1.0, 0.5, 2.0):
            attachments.set_weights({"a": weight})
            found[weight] = sdxl.encode_text(["a boat"])
    for name, before in plain.items():
        change = found[1.0][name] - before
        assert bool(change.abs().max() > 1e-3) == (name == "encoder_hidden_states" or part == "text_encoder_2")
        assert torch.allclose(found[0.5][name], before + 0.5 * change, atol=1e-5)
        assert torch.allclose(found[2.0][name], before + 2 * change, atol=1e-5)


@torch.no_grad()
def test_a_new_word_is_looked_up_in_both_text_encoders(sdxl: LoadedBase) -> None:
    adapter = random_adapter(sdxl, method="textual_inversion", parts=TEXT_PARTS)
    plain = sdxl.encode_text(["a <new> boat"])
    with attached(sdxl, {"a": adapter}) as attachments:
        attachments.set_weights({"a": 1.0})
        found = sdxl.encode_text(["a <new> boat"])
    change = (found["encoder_hidden_states"] - plain["encoder_hidden_states"]).abs()[0, 2]
    assert float(change[:16].max()) > 1e-3
    assert float(change[16:].max()) > 1e-3
    assert not torch.equal(found["text_embeds"], plain["text_embeds"])


def test_it_trains_blends_draws_and_goes_to_other_programs(
    folder: Path, pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library = Library(tmp_path / "library")
    monkeypatch.setenv("STUDIO_LIBRARY", str(library.folder))
    where = ["--base", str(folder), "--device", "cpu"]
    data = draw_pictures(tmp_path / "pictures", 3)
    settings = ["--steps", "2", "--batch-size", "2", "--rank", "2", "--parts", "unet,text_encoder,text_encoder_2"]
    assert main(["train", "--data", str(data), "--name", "style", *settings, *where]) == 0
    trained = library.read("style")
    assert set(trained.parts) == {"unet", *TEXT_PARTS}
    for part, content in trained.parts.items():
        idle = [key for key, tensor in content.tensors.items() if "lora_B" in key and not tensor.any()]
        assert not idle, part  # every layer that carries the adapter learned something
    assert main(["blend", "style:1", "style:-0.5", "--name", "less", *where]) == 2
    assert "given twice" in capsys.readouterr().err
    assert main(["blend", "style:0.5", "--name", "half", *where]) == 0
    out = tmp_path / "boat.png"
    assert main(["generate", "a boat", "--adapter", "half", "--steps", "2", "--out", str(out), *where]) == 0
    assert out.stat().st_size > 1000

    file = tmp_path / "half.safetensors"
    assert main(["export", "half", "--format", "kohya", "--out", str(file), "--base", str(folder)]) == 0
    keys = list(load_file(file))
    assert {key.partition("_")[0] + "_" + key.split("_")[1] for key in keys} == {"lora_unet", "lora_te1", "lora_te2"}
    assert any(key.startswith("lora_unet_input_blocks_") for key in keys)
    assert main(["import", str(file), "--name", "back", *where]) == 0
    with quiet_libraries():
        pipeline.load_lora_weights(str(tmp_path), weight_name=file.name)
    half, back = library.read("half"), library.read("back")
    for part, content in half.parts.items():
        module = getattr(pipeline, part)
        paths = {key.rpartition(".lora_")[0] for key in content.tensors}
        for path in paths:
            down, up = (content.tensors[f"{path}.lora_{side}.weight"].double() for side in "AB")
            again = [back.parts[part].tensors[f"{path}.lora_{side}.weight"].double() for side in "AB"]
            delta = content.config["lora_alpha"] / content.config["r"] * up @ down
            scale = back.parts[part].config["lora_alpha"] / back.parts[part].config["r"]
            assert torch.allclose(scale * again[1] @ again[0], delta, atol=1e-9)
            layer = module.get_submodule(path.removeprefix("base_model.model."))
            live = layer.get_delta_weight(layer.active_adapters[0]).double()
            assert torch.allclose(live, delta, atol=1e-7), path
