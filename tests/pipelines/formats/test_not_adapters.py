"""Files and folders that are given for an adapter and are none, or not yet: each is called what it is."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor

from pipelines.families import LoadedBase
from pipelines.formats import open_source
from pipelines.importing import bring_in
from tests.pipelines.formats.test_distrust import plain
from trainers.errors import UserError
from trainers.storage import write_json

ONE = torch.ones(2, 2)
LDM = "model.diffusion_model."
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["to_q"]}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ((f"{LDM}input_blocks.0.0.weight", f"{LDM}out.0.bias"), r"a whole model \(its UNet\)"),
        (("conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"), r"\(its UNet\), not an adapter.*studio extract"),
        ((f"{LDM}out.0.weight", "first_stage_model.decoder.conv_in.weight"), "is a whole model, not an adapter"),
        ((f"{LDM}out.0.weight", "conditioner.embedders.0.x.weight"), "is a whole model, not an adapter"),
        (("double_blocks.0.img_attn.qkv.weight",), "of another architecture"),
        (("encoder.down.0.block.0.conv1.weight", "quant_conv.weight"), r"an autoencoder \(VAE\)"),
        (("first_stage_model.decoder.conv_in.weight",), r"an autoencoder \(VAE\)"),
        (("text_model.embeddings.token_embedding.weight",), "a text encoder"),
        (("encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight"), "a text encoder"),
        (("control_model.input_blocks.0.0.weight",), "a ControlNet"),
        (("controlnet_cond_embedding.conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"), "a ControlNet"),
        (("lora_controlnet", "input_blocks.0.0.up", "input_blocks.0.0.down"), "a Control-LoRA"),
        (("ip_adapter.1.to_k_ip.weight", "image_proj.proj.weight"), "an IP-Adapter"),
        (("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"), "a whole language model"),
        (("unet:0:up", "unet:0:down", "<s1>"), "cloneofsimo/lora"),
        (("model.1.sub.0.RDB1.conv1.0.weight",), "an upscaler"),
    ],
)  # fmt: skip
def test_another_models_file_is_called_what_it_is(
    base: LoadedBase, tmp_path: Path, keys: tuple[str, ...], said: str
) -> None:
    save_file({key: ONE.clone() for key in keys}, tmp_path / "given.safetensors")
    with pytest.raises(UserError, match=said):
        bring_in(tmp_path / "given.safetensors", base, "it")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"unet.mid_block.attentions.0.proj_in.lora.down.weight": ONE}, "is a pickled adapter"),
        ({"mid_block.attn1.processor.to_q_lora.down.weight": ONE}, "is a pickled adapter"),
        ({"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": ONE}, "is a pickled adapter"),
        ({"state_dict": {"decoder.conv_in.weight": ONE}}, r"an autoencoder \(VAE\).*Besides, it is a pickle"),
        ({768: [{"linear.0.weight": ONE}], "name": "h"}, "is a hypernetwork"),
        ({"string_to_param": {"*": torch.ones(1, 32), "b": torch.ones(1, 32)}}, r"holds 2 embeddings \(\*, b\)"),
        ({"step": 3}, "is no textual inversion"),
    ],
)
def test_a_pickle_is_called_what_it_is(
    base: LoadedBase, tmp_path: Path, content: Mapping[object, object], said: str
) -> None:
    torch.save(content, tmp_path / "given.bin")
    with pytest.raises(UserError, match=said):
        bring_in(tmp_path / "given.bin", base, "it")


def test_a_pickled_file_that_is_cut_off_is_refused(base: LoadedBase, tmp_path: Path) -> None:
    path = tmp_path / "given.pt"
    torch.save({"<w>": torch.ones(8, 32)}, path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match="is cut off or holds more than tensors"):
        bring_in(path, base, "it")


def test_content_counts_and_not_the_ending(base: LoadedBase, tmp_path: Path) -> None:
    """Downloads come under wrong names: safetensors under .pt, pickles under .safetensors."""
    (tmp_path / "lora.pt").write_bytes(save(plain()))
    assert dict(bring_in(tmp_path / "lora.pt", base, "it").matched) == {"unet": 1}
    torch.save(plain(), tmp_path / "lora.safetensors")
    with pytest.raises(UserError, match="is a pickle, whatever its name says"):
        bring_in(tmp_path / "lora.safetensors", base, "it")
    (tmp_path / "emb.pt").write_bytes(POINTER)
    with pytest.raises(UserError, match="is a Git LFS pointer"):
        bring_in(tmp_path / "emb.pt", base, "it")


def test_what_is_no_file_is_not_waited_for(base: LoadedBase, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(UserError, match="is neither a file nor a folder"):
        bring_in(tmp_path / "pipe.safetensors", base, "it")


def _folder(path: Path, files: Mapping[str, object]) -> Path:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            file.write_bytes(content)
        elif file.suffix == ".json":
            write_json(file, content)
        else:
            assert isinstance(content, dict)
            save_file(content, file)
    return path


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"adapter_config.json": CONFIG, "adapter_model.bin": b"\x80\x02}"}, "adapter_model.bin, a pickle, which"),
        ({"unet/adapter_config.json": CONFIG, "unet/adapter_model.bin": b"\x80\x02}"}, "unet holds adapter_model.bin"),
        ({"adapter_config.json": CONFIG, "adapter_model.safetensors.index.json": {}}, "in several pieces"),
        ({"adapter_config.json": CONFIG}, "without adapter_model.safetensors. Fetch"),
        ({"adapter_config.json": CONFIG, "adapter_model.safetensors": POINTER}, "is a Git LFS pointer"),
        ({"adapter_model.safetensors": {"a": ONE}}, "without adapter_config.json, which says its alpha"),
        ({"pytorch_lora_weights.bin": b"\x80\x02}"}, r"Of pickles \(pytorch_lora_weights.bin\)"),
        ({"a.safetensors": {"a": ONE}, "._a.safetensors": b"x"}, "It holds a.safetensors; give the file itself"),
        ({"config.json": {"_class_name": "UNet2DConditionModel"}}, r"is a whole model \(UNet2DConditionModel\)"),
        ({"config.json": {"architectures": ["LlamaForCausalLM"]}}, r"is a whole model \(LlamaForCausalLM\)"),
        ({"readme.txt": b"x"}, "holds no adapter: neither .* Give the file itself"),
    ],
)  # fmt: skip
def test_a_folder_without_an_adapter_is_called_what_it_is(
    tmp_path: Path, files: Mapping[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        open_source(_folder(tmp_path / "given", files))


def test_what_lies_beside_an_adapter_is_named(base: LoadedBase, tmp_path: Path) -> None:
    path = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    factors: dict[str, Tensor] = {
        f"{path}.lora_A.weight": torch.ones(2, 32),
        f"{path}.lora_B.weight": torch.ones(32, 2),
    }
    words = {"clip_l": torch.ones(1, 32)}
    files = {
        "pytorch_lora_weights.safetensors": factors,
        "a_emb.safetensors": words,
        "unet/adapter_config.json": CONFIG,
    }
    found = bring_in(_folder(tmp_path / "given", files), base, "it")
    assert found.notes == ["Not read: a_emb.safetensors, unet/adapter_config.json, beside it. Import it by itself."]
