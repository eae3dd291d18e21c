"""Textual inversions in every spelling, bundled embeddings, and adapters merged into whole models."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders import single_file_utils
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from pipelines.bases import load_base
from pipelines.exporting import take_out
from pipelines.families import LoadedBase
from pipelines.formats import open_source, recognise
from pipelines.formats._names import ModuleNames
from pipelines.formats._part_layers import embedding_of_part
from pipelines.formats._parts import embedding_part
from pipelines.formats.checkpoint_file import open_clip_tensors
from tests.pipelines.formats import files
from tests.support import content_of, random_adapter
from trainers.errors import UserError

ROWS = torch.linspace(-1, 1, 64).reshape(2, 32)


def read(path: Path, base: LoadedBase) -> Any:
    source = open_source(path)
    chosen = recognise(source)
    assert chosen.read is not None
    return chosen, chosen.read(source, ModuleNames(base.parts))


@pytest.mark.parametrize("spelling", ["emb_params", "<zqx paper>", "clip_l", "row", "a1111", "old_diffusers"])
def test_a_textual_inversion_in_every_spelling(base: LoadedBase, tmp_path: Path, spelling: str) -> None:
    path = tmp_path / "zqx-paper.safetensors"
    if spelling == "a1111":
        path = tmp_path / "old.pt"
        content = {"string_to_token": {"*": 265}, "string_to_param": {"*": ROWS}, "name": "zqx paper", "step": 5}
        torch.save(content, path)
    elif spelling == "old_diffusers":
        path = tmp_path / "learned_embeds.bin"
        torch.save({"<zqx-paper>": ROWS}, path)
    else:
        save_file({"zqx-paper" if spelling == "row" else spelling: ROWS[0] if spelling == "row" else ROWS}, path)
    chosen, found = read(path, base)
    assert chosen.name == "textual_inversion"
    assert list(found.embeddings) == ["zqx-paper"]
    expected = ROWS[:1] if spelling == "row" else ROWS
    assert torch.equal(found.embeddings["zqx-paper"]["text_encoder"], expected)


def test_an_embedding_of_another_width_is_refused(base: LoadedBase, tmp_path: Path) -> None:
    save_file({"emb_params": torch.ones(2, 768)}, tmp_path / "wide.safetensors")
    with pytest.raises(UserError, match=r"\[2, 768\]; the base's words have 32"):
        read(tmp_path / "wide.safetensors", base)


def test_bundled_embeddings_are_told_apart_from_the_layers(base: LoadedBase, tmp_path: Path) -> None:
    content = files.make(files.KINDS["lora"], base)
    path = files.write_kohya(tmp_path / "plain.safetensors", content)
    bundled = {**load_file(path), "bundle_emb.zqx.clip_l": ROWS, "bundle_emb.two.clip_g": torch.ones(1, 64)}
    save_file(bundled, tmp_path / "bundled.safetensors")
    chosen, found = read(tmp_path / "bundled.safetensors", base)
    assert chosen.name == "onetrainer"
    assert torch.equal(found.embeddings["zqx"]["text_encoder"], ROWS)
    assert found.unmatched == ["bundle_emb.two.clip_g"]  # the base has no second text encoder
    assert dict(found.matched) == {"text_encoder": 2, "unet": 3, "embeddings": 1}


def test_a_word_keeps_its_rows_as_a_part(base: LoadedBase) -> None:
    part = embedding_part("zqx", ROWS, base.parts["text_encoder"])
    assert embedding_of_part(part) == ("zqx", ROWS)
    words: Any = base.parts["text_encoder"]
    start = next(tensor for key, tensor in part.tensors.items() if key.endswith(".start"))
    mean = words.embeddings.token_embedding.weight.detach().mean(dim=0)
    assert torch.allclose(start, mean.expand(2, -1))


def test_merged_models_in_both_layouts(base: LoadedBase, tiny_base: Path, tmp_path: Path) -> None:
    content = files.make(files.KINDS["locon"], base)
    from pipelines.importing import bring_in

    adapter = bring_in(files.write_kohya(tmp_path / "a.safetensors", content), base, "a").adapters["a"]
    before = content_of(tiny_base)
    folder, file = tmp_path / "merged", tmp_path / "merged.safetensors"
    lost = take_out(adapter, "checkpoint_folder", folder, base=base, base_folder=tiny_base).error
    assert lost < 1e-6
    assert content_of(tiny_base) == before
    merged = load_base(str(folder), device="cpu")
    for part, module in base.parts.items():
        for key, tensor in module.state_dict().items():
            path, _, leaf = key.rpartition(".")
            made = content.get((part, path))
            expected = tensor.double()
            if made is not None and leaf == "weight":
                assert made.weight is not None
                expected = expected + made.weight
            assert torch.equal(merged.parts[part].state_dict()[key], expected.float())

    take_out(adapter, "checkpoint_file", file, base=base, base_folder=tiny_base)
    single = load_file(file)
    whole: Any = merged
    unet = single_file_utils.convert_ldm_unet_checkpoint(dict(single), dict(whole.unet.config))
    vae = single_file_utils.convert_ldm_vae_checkpoint(dict(single), dict(whole.autoencoder.config))
    text = single_file_utils.convert_ldm_clip_checkpoint(dict(single))
    flat = {key.removeprefix("text_model."): tensor for key, tensor in text.items()}
    for found, model in ((unet, whole.unet), (vae, whole.autoencoder), (flat, whole.text_encoder)):
        expected_state = model.state_dict()
        assert found.keys() == expected_state.keys()
        assert all(torch.equal(found[key].reshape(value.shape), value) for key, value in expected_state.items())


def test_merging_into_half_precision_tells_what_rounding_took(
    base: LoadedBase, tiny_base: Path, tmp_path: Path
) -> None:
    small = random_adapter(base, "a", method="lora", rank=2, size=1e-3, parts=("unet",))
    out = tmp_path / "half"
    lost = take_out(small, "checkpoint_folder", out, base=base, base_folder=tiny_base, precision="bf16").error
    assert lost > 0.5
    dtypes = {tensor.dtype for tensor in load_file(next((out / "unet").glob("*.safetensors"))).values()}
    assert dtypes == {torch.bfloat16}


def test_a_failed_merge_leaves_nothing(base: LoadedBase, tiny_base: Path, tmp_path: Path) -> None:
    broken = tmp_path / "base"
    (broken / "unet").mkdir(parents=True)
    (broken / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    save_file({"conv_in.bias": torch.ones(16)}, broken / "unet/diffusion_pytorch_model.safetensors")
    adapter = random_adapter(base, method="lora", rank=2)
    with pytest.raises(UserError, match="in none of the base's"):
        take_out(adapter, "checkpoint_folder", tmp_path / "out", base=base, base_folder=broken)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]


def test_open_clip_names_lead_back_through_diffusers() -> None:
    config = CLIPTextConfig(
        hidden_size=1024, intermediate_size=64, num_hidden_layers=2, num_attention_heads=16, vocab_size=8
    )
    torch.manual_seed(0)
    model: nn.Module = CLIPTextModel(config)
    state = {f"text_model.{key}": tensor for key, tensor in model.state_dict().items() if "position_ids" not in key}
    original = open_clip_tensors(state)
    found = single_file_utils.convert_open_clip_checkpoint(model, original, prefix="cond_stage_model.model.")
    found = {f"text_model.{key.removeprefix('text_model.')}": tensor for key, tensor in found.items()}
    missing = {key for key in state if key not in found or not torch.equal(found[key], state[key])}
    # diffusers leaves the last layer of an OpenCLIP file out, as Stable Diffusion 2 does.
    assert missing <= {key for key in state if ".layers.1." in key}


def test_a_word_goes_in_and_out_of_the_library(base: LoadedBase, tmp_path: Path) -> None:
    from pipelines.attach import attached
    from pipelines.importing import bring_in

    save_file({"emb_params": ROWS}, tmp_path / "zqx.safetensors")
    adapter = bring_in(tmp_path / "zqx.safetensors", base, "word").adapters["word"]
    assert adapter.card.triggers == ("<zqx>",)
    assert adapter.card.parts["text_encoder"].method == "textual_inversion"
    with torch.no_grad(), attached(base, {"word": adapter}) as attachments:
        attachments.set_weights({"word": 1.0})
        one = base.encode_text(["a <zqx>"])["encoder_hidden_states"]
        attachments.set_weights({"word": 0.5})
        half = base.encode_text(["a <zqx>"])["encoder_hidden_states"]
    assert not torch.equal(one, half)
    out = tmp_path / "out.safetensors"
    take_out(adapter, "textual_inversion", out)
    assert torch.equal(load_file(out)["emb_params"], ROWS)
    with pytest.raises(UserError, match="is a new word"):
        take_out(adapter, "kohya", tmp_path / "no.safetensors")


def test_a_bundle_becomes_one_adapter_for_the_layers_and_one_for_each_word(base: LoadedBase, tmp_path: Path) -> None:
    from pipelines.importing import bring_in

    content = files.make(files.KINDS["lora"], base)
    plain = load_file(files.write_kohya(tmp_path / "plain.safetensors", content))
    save_file({**plain, "bundle_emb.zqx.clip_l": ROWS}, tmp_path / "bundled.safetensors")
    adapters = bring_in(tmp_path / "bundled.safetensors", base, "both").adapters
    assert {name: sorted(card.card.parts) for name, card in adapters.items()} == {
        "both": ["text_encoder", "unet"],
        "both-zqx": ["text_encoder"],
    }
