"""Stable Diffusion 3: what diffusers' own pipeline does with the same weights, and the way from training to a file."""

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
from tests.support import draw_pictures, random_adapter, relative_error
from trainers.config import parse_config
from trainers.data.images import read_folder
from trainers.data.latents import Latents, encode_latents
from trainers.errors import UserError
from trainers.image_task import ImageTask
from trainers.loop import begin

UNFIT = {("bitfit", "text_encoder_3"), ("houlsby", "text_encoder_3")}
"""Refused with a sentence: T5 has no biases, and its blocks are of no make that takes bottlenecks."""
ALL_PARTS = ("transformer", "text_encoder", "text_encoder_2", "text_encoder_3")


@pytest.fixture(scope="module")
def folder(tiny_bases: dict[str, Path]) -> Path:
    return tiny_bases["sd3"]


@pytest.fixture(scope="module")
def sd3(folder: Path) -> LoadedBase:
    return load_base(str(folder), device="cpu")


@pytest.fixture
def pipeline(folder: Path) -> Iterator[Any]:
    from diffusers import StableDiffusion3Pipeline

    with quiet_libraries():
        made: Any = StableDiffusion3Pipeline.from_pretrained(folder)
        made.set_progress_bar_config(disable=True)
        yield made


@torch.no_grad()
def test_text_size_and_pictures_are_those_of_diffusers(sd3: LoadedBase, pipeline: Any) -> None:
    own = sd3.encode_text(["a red boat", ""])
    words, nothing, whole, no_whole = pipeline.encode_prompt("a red boat", None, None, negative_prompt="")
    assert torch.allclose(own["encoder_hidden_states"], torch.cat([words, nothing]), atol=1e-5)
    assert torch.allclose(own["pooled_projections"], torch.cat([whole, no_whole]), atol=1e-5)
    noise = torch.randn(1, *sd3.noise_shape(48, 32), generator=torch.Generator().manual_seed(1))
    assert noise.shape[1:] == (16, 8, 12)
    seen: list[Any] = []
    handle = pipeline.transformer.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["timestep"]), with_kwargs=True
    )
    theirs = pipeline("a red boat", negative_prompt="", latents=noise, num_inference_steps=4, guidance_scale=5.0,
                      output_type="np", height=32, width=48)  # fmt: skip
    handle.remove()
    ours = sd3.sample({k: v[:1] for k, v in own.items()}, {k: v[1:] for k, v in own.items()}, noise,
                      num_inference_steps=4, guidance_scale=5.0, on_step=lambda step: None)  # fmt: skip
    assert ours[0].size == (48, 32)
    assert np.abs(np.asarray(ours[0]) - 255 * theirs.images[0]).max() <= 0.501  # rounding to whole numbers
    assert theirs.images[0].std() > 0.05
    # The levels that training draws are told to the transformer in the numbers that sampling tells it.
    asked: list[Any] = []
    transformer: Any = sd3.parts["transformer"]
    handle = transformer.register_forward_pre_hook(
        lambda _, args, kwargs: asked.append(kwargs["timestep"]), with_kwargs=True
    )
    sd3.predict(noise, torch.tensor([sd3.timesteps - 1]), {k: v[:1] for k, v in own.items()})
    handle.remove()
    assert torch.allclose(asked[0], seen[0][:1])


def test_a_flow_goes_in_a_straight_line_from_picture_to_noise(sd3: LoadedBase) -> None:
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 4, 16, 8, 8, generator=generator).double()
    timesteps = torch.tensor([0, 250, 700, 999])
    shift, levels = 3.0, (timesteps.double() + 1) / 1000
    sigma = shift * levels / (1 + (shift - 1) * levels)
    line = (1 - sigma)[:, None, None, None] * latents + sigma[:, None, None, None] * noise
    assert relative_error(sd3.add_noise(latents, noise, timesteps), line) < 1e-6
    assert torch.equal(sd3.target(latents, noise, timesteps), noise - latents)
    assert torch.allclose(sd3.snr(timesteps), ((1 - sigma) / sigma) ** 2, rtol=1e-4, atol=1e-9)
    assert sd3.prediction == "flow"
    # One step of Euler along the true velocity lands on the picture.
    assert relative_error(line - sigma[:, None, None, None] * (noise - latents), latents) < 1e-9
    drawn = sd3.draw_timesteps(4000, generator)
    assert 0 <= int(drawn.min()) < int(drawn.max()) < sd3.timesteps
    logit = torch.logit((drawn.double() + 0.5) / sd3.timesteps)
    assert abs(float(logit.mean())) < 0.06
    assert abs(float(logit.std()) - 1) < 0.06


def test_latents_are_shifted_and_scaled_as_the_autoencoder_says(sd3: LoadedBase) -> None:
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    autoencoder = sd3.autoencoder  # type: ignore[attr-defined]
    with torch.no_grad():
        mean, _ = sd3.encode_images(pixels)
        posterior = autoencoder.encode(pixels).latent_dist
    assert torch.allclose(mean, (posterior.mean - 0.0609) * 1.5305)


@torch.no_grad()
def test_a_base_without_t5_reads_with_clip_alone(folder: Path, pipeline: Any, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "base", ignore=shutil.ignore_patterns("text_encoder_3", "tokenizer_3"))
    index = tmp_path / "base" / "model_index.json"
    without = {"text_encoder_3": [None, None], "tokenizer_3": [None, None]}
    index.write_text(json.dumps({**json.loads(index.read_text()), **without}))
    base = load_base(str(tmp_path / "base"), device="cpu")
    assert tuple(base.parts) == ALL_PARTS[:-1]
    pipeline.register_modules(text_encoder_3=None, tokenizer_3=None)
    words, _, whole, _ = pipeline.encode_prompt("a red boat", None, None, negative_prompt="")
    own = base.encode_text(["a red boat"])
    assert torch.allclose(own["encoder_hidden_states"], words, atol=1e-5)
    assert torch.allclose(own["pooled_projections"], whole, atol=1e-5)


def latents_of(base: LoadedBase, data: Path) -> Latents:
    *_, latents = (found for _, found in encode_latents(base, read_folder(data).pictures, size_px=32, flip=False))
    assert latents is not None
    return latents


def test_min_snr_is_refused_with_its_reason(sd3: LoadedBase, pictures: Path) -> None:
    config = parse_config({"data": "d", "name": "n", "snr_gamma": 5})
    with pytest.raises(UserError, match=r"'min_snr' does not suit a base that predicts 'flow'"):
        ImageTask(config, sd3, latents_of(sd3, pictures))


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "bitfit", "norm_tuning", "full", "houlsby"])
def test_every_tensor_of_every_part_learns(folder: Path, pictures: Path, method: str) -> None:
    """Also those of the joint attention's side of the text; what acts on nothing carries no adapter."""
    base = load_base(str(folder), device="cpu")
    parts = {part: {"method": method, "learning_rate": 1e-2} for part in ALL_PARTS if (method, part) not in UNFIT}
    values = {"data": "d", "name": "n", "parts": parts, "batch_size": 2, "caption_dropout": 0}
    config = parse_config({**values, "steps": 20, "warmup_steps": 1})
    training = begin(config, ImageTask(config, base, latents_of(base, pictures)))
    before = [parameter.detach().clone() for parameter in training.parameters]
    losses = []
    for _ in range(2):
        training.optimizer.zero_grad()
        loss = training.task.loss(0, torch.Generator().manual_seed(3))
        loss.backward()
        training.optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[1] < losses[0]
    still = [tuple(old.shape) for old, new in zip(before, training.parameters, strict=True) if torch.equal(old, new)]
    assert not still, f"{len(still)} of {len(before)} tensors did not move: {still[:5]}"


@torch.no_grad()
@pytest.mark.parametrize("part", ALL_PARTS)
def test_a_new_adapter_acts_alive_and_leaves_no_trace(sd3: LoadedBase, part: str) -> None:
    def look() -> torch.Tensor:
        text = sd3.encode_text(["a boat"])
        noise = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1))
        return sd3.predict(noise, torch.tensor([500]), text)

    plain = look()
    with attached(sd3, {"a": random_adapter(sd3, parts=(part,), size=0.3)}) as attachments:
        assert torch.equal(look(), plain)
        attachments.set_weights({"a": 1.0})
        assert relative_error(look(), plain) > 1e-4
    assert torch.equal(look(), plain)


@torch.no_grad()
@pytest.mark.parametrize("part", ALL_PARTS[1:])
def test_a_new_word_is_looked_up_in_every_text_encoder(sd3: LoadedBase, part: str) -> None:
    plain = sd3.encode_text(["a <new> boat"])["encoder_hidden_states"]
    with attached(sd3, {"a": random_adapter(sd3, method="textual_inversion", parts=(part,))}) as attachments:
        attachments.set_weights({"a": 1.0})
        found = sd3.encode_text(["a <new> boat"])["encoder_hidden_states"]
    moved = (found - plain).abs().amax(dim=(0, 2)) > 1e-4
    assert bool(moved[:77].any()) == (part != "text_encoder_3")
    assert bool(moved[77:].any()) == (part == "text_encoder_3")


def test_it_trains_blends_draws_and_goes_to_diffusers(
    folder: Path, pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library = Library(tmp_path / "library")
    monkeypatch.setenv("STUDIO_LIBRARY", str(library.folder))
    where = ["--base", str(folder), "--device", "cpu"]
    data = draw_pictures(tmp_path / "pictures", 3)
    settings = ["--steps", "2", "--batch-size", "2", "--rank", "2"]
    assert main(["train", "--data", str(data), "--name", "usual", *settings, *where]) == 0
    assert set(library.read("usual").parts) == {"transformer", "text_encoder"}
    settings += ["--parts", ",".join(ALL_PARTS)]
    assert main(["train", "--data", str(data), "--name", "style", *settings, *where]) == 0
    trained = library.read("style")
    assert set(trained.parts) == set(ALL_PARTS)
    assert any(".attn.add_q_proj." in key for key in trained.parts["transformer"].tensors)
    assert any(".attn.to_add_out." in key for key in trained.parts["transformer"].tensors)
    blend = ["blend", "style:0.5", "usual:1", "--name", "mix", "--blocks", "style=transformer_blocks.1:0,default:1"]
    capsys.readouterr()
    assert main([*blend, *where]) == 0
    assert "error" in capsys.readouterr().out
    deltas = {}
    for name, adapter in (("style", trained), ("usual", library.read("usual")), ("mix", library.read("mix"))):
        deltas[name] = products(adapter.parts["transformer"])
    for path, delta in deltas["mix"].items():
        share = 0.0 if "transformer_blocks.1." in path else 0.5
        assert relative_error(delta, share * deltas["style"][path] + deltas["usual"][path]) < 1e-5, path
    out = tmp_path / "boat.png"
    assert main(["generate", "a boat", "--adapter", "mix", "--steps", "2", "--out", str(out), *where]) == 0
    assert out.stat().st_size > 1000

    file = tmp_path / "pytorch_lora_weights.safetensors"
    capsys.readouterr()
    assert main(["export", "style", "--format", "diffusers", "--out", str(file), "--base", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "diffusers passes over" in said  # its loader has no place for T5
    assert "text_encoder_3" in said
    assert "ComfyUI" not in said  # whose rule was read for other families
    assert main(["export", "style", "--for", "comfyui", "--out", str(tmp_path / "c"), "--base", str(folder)]) == 2
    assert "How ComfyUI reads adapters of the family 'sd3' is not known here" in capsys.readouterr().err
    assert {key.partition(".")[0] for key in load_file(file)} == set(ALL_PARTS)
    assert main(["import", str(file), "--name", "back", *where]) == 0
    back = library.read("back")
    for part in ALL_PARTS:
        again = products(back.parts[part])
        for path, delta in products(trained.parts[part]).items():
            assert relative_error(again[path], delta) < 1e-6, path
    with quiet_libraries():
        pipeline.load_lora_weights(str(tmp_path), weight_name=file.name)
    for path, delta in products(trained.parts["transformer"]).items():
        layer = pipeline.transformer.get_submodule(path)
        assert relative_error(layer.get_delta_weight(layer.active_adapters[0]), delta) < 1e-6, path


def products(part: Any) -> dict[str, torch.Tensor]:
    """Return every layer's delta of a LoRA in float64, by path."""
    scale = part.config["lora_alpha"] / part.config["r"]
    found = {}
    for key, down in part.tensors.items():
        if key.endswith(".lora_A.weight"):
            path = key.removesuffix(".lora_A.weight")
            up = part.tensors[f"{path}.lora_B.weight"].double()
            found[path.removeprefix("base_model.model.")] = scale * up @ down.double()
    return found
