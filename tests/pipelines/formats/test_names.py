"""Names of modules against the original code's numbering, diffusers' own converters, and counts of real structures."""

import re
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pipelines.families import LoadedBase
from pipelines.formats._names import ModuleNames, Place, comfyui_name, diffusers_name, kohya_name, original_unet_names

SMALL: dict[str, Any] = {"norm_num_groups": 4, "sample_size": 8, "attention_head_dim": 2}
SD1: dict[str, Any] = {**SMALL, "block_out_channels": (8, 8, 16, 16), "cross_attention_dim": 8}
SDXL: dict[str, Any] = {
    **SMALL,
    "block_out_channels": (8, 8, 16),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 32,
    "cross_attention_dim": 16,
}
TEXT: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "vocab_size": 16}


@pytest.fixture(scope="module")
def sd1() -> dict[str, nn.Module]:
    with torch.device("meta"):
        text = CLIPTextModel(CLIPTextConfig(**TEXT, num_hidden_layers=12))
        return {"unet": UNet2DConditionModel(**SD1), "text_encoder": text}


@pytest.fixture(scope="module")
def sdxl() -> dict[str, nn.Module]:
    with torch.device("meta"):
        return {
            "unet": UNet2DConditionModel(**SDXL),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**TEXT, num_hidden_layers=12)),
            "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**TEXT, num_hidden_layers=32)),
        }


def trained_by_kohya(parts: dict[str, nn.Module]) -> dict[str, list[Place]]:
    """Return the modules that kohya's scripts train without convolutions, by part."""
    inside = re.compile(r"\.attentions\.\d+\.|\.self_attn\.|\.mlp\.")
    return {
        part: [
            Place(part, path)
            for path, module in root.named_modules()
            if inside.search(f".{path}")
            and (isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)))
        ]
        for part, root in parts.items()
    }


def test_every_spelling_of_every_module_leads_back(sd1: dict[str, nn.Module], sdxl: dict[str, nn.Module]) -> None:
    counts = []
    for parts, is_sdxl in ((sd1, False), (sdxl, True)):
        names = ModuleNames(parts)
        trained = trained_by_kohya(parts)
        counts.append({part: len(places) for part, places in trained.items()})
        for place in (place for places in trained.values() for place in places):
            spelled = [
                kohya_name(place, names, sdxl=is_sdxl),
                kohya_name(place, None, sdxl=is_sdxl) if place.part != "unet" or not is_sdxl else "",
                diffusers_name(place),
                comfyui_name(place, names),
                f"lora_unet_{place.path.replace('.', '_')}" if place.part == "unet" else "",
            ]
            assert {names.find(name) for name in spelled if name} == {place}
        kohya = [kohya_name(place, names, sdxl=is_sdxl) for places in trained.values() for place in places]
        assert len(set(kohya)) == len(kohya)
    # The counts that kohya's scripts report for the real models of this structure.
    assert counts == [{"unet": 192, "text_encoder": 72}, {"unet": 722, "text_encoder": 72, "text_encoder_2": 192}]


def test_names_on_the_way_to_sd1(sd1: dict[str, nn.Module]) -> None:
    names = ModuleNames(sd1)
    place = Place("text_encoder", "encoder.layers.3.self_attn.out_proj")
    expected = "lora_te_text_model_encoder_layers_3_self_attn_out_proj"
    assert kohya_name(place, names, sdxl=False) == expected
    assert names.find(expected) == names.find(expected.replace("lora_te_", "lora_te1_")) == place
    assert diffusers_name(place) == "text_encoder.text_model.encoder.layers.3.self_attn.out_proj"
    assert names.find("text_encoder.encoder.layers.3.self_attn.out_proj") == place
    unet = Place("unet", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0")
    assert kohya_name(unet, names, sdxl=False) == (
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0"
    )
    assert names.find("lora_te2_text_model_encoder_layers_3_self_attn_out_proj") is None
    assert names.find("lora_unet_no_such_module") is None


def test_modules_outside_the_blocks_in_both_spellings(sd1: dict[str, nn.Module]) -> None:
    """huggingface/diffusers#14005: conv_in, conv_out and the time embedding of kohya's files were passed over."""
    names = ModuleNames(sd1)
    spellings = {
        "conv_in": ("conv_in", "input_blocks_0_0"),
        "conv_out": ("conv_out", "out_2"),
        "time_embedding.linear_1": ("time_embedding_linear_1", "time_embed_0"),
        "time_embedding.linear_2": ("time_embedding_linear_2", "time_embed_2"),
    }
    for path, own in spellings.items():
        assert {names.find(f"lora_unet_{name}") for name in own} == {Place("unet", path)}


def test_wrappings_make_no_ambiguous_name_findable(sdxl: dict[str, nn.Module]) -> None:
    names = ModuleNames(sdxl)
    tail = "text_model.encoder.layers.3.mlp.fc1"
    assert names.find(f"base_model.model.{tail}") is None  # both text encoders have it
    found = names.find(f"text_encoder_2.base_model.model.text_encoder_2.{tail}")
    assert found == Place("text_encoder_2", tail)


def test_sdxl_has_no_single_text_encoder_and_no_ambiguous_names(sdxl: dict[str, nn.Module]) -> None:
    names = ModuleNames(sdxl)
    tail = "text_model_encoder_layers_3_mlp_fc1"
    assert names.find(f"lora_te_{tail}") is None
    assert names.find(tail) is None  # both text encoders have it
    first, second = names.find(f"lora_te1_{tail}"), names.find(f"lora_te2_{tail}")
    assert (first and first.part, second and second.part) == ("text_encoder", "text_encoder_2")
    assert second is not None
    # CLIPTextModelWithProjection has kept the level that CLIPTextModel lost; both files have it.
    assert second.path == "text_model.encoder.layers.3.mlp.fc1"
    assert kohya_name(second, names, sdxl=True) == f"lora_te2_{tail}"


def test_original_names_of_sdxl_by_their_numbering(sdxl: dict[str, nn.Module]) -> None:
    """Input block n >= 1 is down block (n − 1) // 3, layer (n − 1) % 3; output block n is up block n // 3."""
    found = original_unet_names(sdxl["unet"])
    resnet = {"in_layers.2": "conv1", "out_layers.3": "conv2", "emb_layers.1": "time_emb_proj"}
    checked = 0
    for path, name in found.items():
        match = re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d)\.(.*)", name)
        if match is None or (match[2] == "0" and match[1] == "input"):
            continue
        number = int(match[2])
        block, layer = divmod(number - 1, 3) if match[1] == "input" else divmod(number, 3)
        root = f"down_blocks.{block}" if match[1] == "input" else f"up_blocks.{block}"
        rest = match[4]
        if rest in resnet:
            expected = f"{root}.resnets.{layer}.{resnet[rest]}"
        elif rest.startswith(("transformer_blocks", "proj_in", "proj_out")):
            expected = f"{root}.attentions.{layer}.{rest}"
        elif rest == "op":
            expected = f"{root}.downsamplers.0.conv"
        elif rest == "conv":
            expected = f"{root}.upsamplers.0.conv"
        else:
            continue
        assert path == expected
        checked += 1
    assert checked > 700


@pytest.mark.parametrize("which", ["sd1", "sdxl", "tiny"])
def test_diffusers_own_converter_reads_the_original_names(
    which: str, sd1: dict[str, nn.Module], sdxl: dict[str, nn.Module], base: LoadedBase
) -> None:
    unet: Any = {"sd1": sd1, "sdxl": sdxl, "tiny": base.parts}[which]["unet"]
    state = unet.state_dict()
    names = original_unet_names(unet)
    original = {}
    for key, tensor in state.items():
        path, _, leaf = key.rpartition(".")
        original[f"model.diffusion_model.{names[path]}.{leaf}"] = tensor
    assert len(original) == len(state)
    converted = convert_ldm_unet_checkpoint(dict(original), dict(unet.config))
    assert converted.keys() == state.keys()
    assert all(converted[key] is state[key] for key in state)


def test_diffusers_reads_our_sdxl_names(sdxl: dict[str, nn.Module]) -> None:
    names = ModuleNames(sdxl)
    unet: Any = sdxl["unet"]
    tensors, expected = {}, set()
    for place in trained_by_kohya({"unet": unet})["unet"]:
        name = kohya_name(place, names, sdxl=True)
        tensors |= {f"{name}.lora_down.weight": torch.zeros(1, 4), f"{name}.lora_up.weight": torch.zeros(4, 1)}
        expected.add(diffusers_name(place))
    state, _ = StableDiffusionXLPipeline.lora_state_dict(dict(tensors), unet_config=unet.config)
    assert len(state) == len(tensors)
    processor = re.compile(r"\.processor\.(to_q|to_k|to_v|to_out)_lora\.(down|up)\.weight$")
    plain = {re.sub(r"\.lora\.(down|up)\.weight$", "", processor.sub(r".\1", key)) for key in state}
    assert {re.sub(r"\.to_out$", ".to_out.0", name) for name in plain} == expected
