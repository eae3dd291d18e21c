"""A whole model as one file in the original (LDM) layout, as A1111, Forge and ComfyUI take it, with the adapter added.

``model.diffusion_model.`` is the UNet, ``first_stage_model.`` the autoencoder, ``cond_stage_model.`` the text encoder:
CLIP ViT-L under its transformers names (SD 1.x), or OpenCLIP with fused projections (SD 2.x).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.formats._format import Export, Format
from pipelines.formats._names import text_path
from trainers.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_OPEN_CLIP_WIDTH = 1024
_AUTOENCODER = (
    (r"(en|de)coder\.mid_block\.resnets\.0\.", r"\1coder.mid.block_1."),
    (r"(en|de)coder\.mid_block\.resnets\.1\.", r"\1coder.mid.block_2."),
    (r"(en|de)coder\.mid_block\.attentions\.0\.", r"\1coder.mid.attn_1."),
    (r"encoder\.down_blocks\.(\d+)\.resnets\.(\d+)\.", r"encoder.down.\1.block.\2."),
    (r"encoder\.down_blocks\.(\d+)\.downsamplers\.0\.", r"encoder.down.\1.downsample."),
    (r"\.conv_norm_out\.", ".norm_out."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
    (r"\.attn_1\.group_norm\.", ".attn_1.norm."),
)
_ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_ATTENTION |= {"query": "q", "key": "k", "value": "v", "proj_attn": "proj_out"}
_OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def _merge(path: Path, export: Export) -> float:
    from pipelines.formats._checkpoint import Merge
    from pipelines.formats._metadata import modelspec_metadata
    from pipelines.weight_files import weight_files
    from trainers.tensor_files import write_tensors

    base = export.base_folder
    if base is None or not (base / "model_index.json").is_file():
        raise UserError("A merged file can only be made of a base in diffusers layout.")
    if (base / "text_encoder_2").is_dir():
        raise UserError("A single file of a base with two text encoders (SDXL) is not written; use checkpoint_folder.")
    assert export.names is not None
    merge = Merge(export)
    tensors: dict[str, Tensor] = {}
    for file in weight_files(base / "unet"):
        for key, place, leaf, tensor in merge.tensors(file, "unet"):
            if place is None:
                raise UserError(f"The base's UNet holds {key}, which the original layout has no place for.")
            tensors[f"model.diffusion_model.{export.names.original(place.path)}.{leaf}"] = tensor
    text: dict[str, Tensor] = {}
    for file in weight_files(base / "text_encoder"):
        text |= {text_path(key): tensor for key, _, _, tensor in merge.tensors(file, "text_encoder")}
    tensors |= _text_tensors(text)
    vae = {key: tensor for file in weight_files(base / "vae") for key, _, _, tensor in merge.tensors(file, "vae")}
    tensors |= _autoencoder_tensors(vae)
    loss = merge.finish()
    write_tensors(path, tensors, {"format": "pt", **modelspec_metadata(export, tensors, kind="")})
    return loss


def _text_tensors(text: Mapping[str, Tensor]) -> dict[str, Tensor]:
    width = text["text_model.final_layer_norm.weight"].shape[0]
    if width != _OPEN_CLIP_WIDTH:
        return {f"cond_stage_model.transformer.{key}": tensor for key, tensor in text.items()}
    return open_clip_tensors(text)


def open_clip_tensors(text: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a text encoder's tensors as OpenCLIP names them, with q, k and v in one matrix."""
    import torch

    root = "cond_stage_model.model"
    found = {
        f"{root}.token_embedding.weight": text["text_model.embeddings.token_embedding.weight"],
        f"{root}.positional_embedding": text["text_model.embeddings.position_embedding.weight"],
        f"{root}.ln_final.weight": text["text_model.final_layer_norm.weight"],
        f"{root}.ln_final.bias": text["text_model.final_layer_norm.bias"],
    }
    layers = {int(key.split(".")[3]) for key in text if key.startswith("text_model.encoder.layers.")}
    for layer in sorted(layers):
        old, new = f"text_model.encoder.layers.{layer}", f"{root}.transformer.resblocks.{layer}"
        for leaf in ("weight", "bias"):
            own = [text[f"{old}.self_attn.{name}_proj.{leaf}"] for name in "qkv"]
            found[f"{new}.attn.in_proj_{leaf}"] = torch.cat(own)
            found |= {f"{new}.{name}.{leaf}": text[f"{old}.{module}.{leaf}"] for module, name in _OPEN_CLIP.items()}
    return found


def _autoencoder_tensors(vae: Mapping[str, Tensor]) -> dict[str, Tensor]:
    blocks = 1 + max(int(key.split(".")[2]) for key in vae if key.startswith("decoder.up_blocks."))
    found = {}
    for key, tensor in vae.items():
        name = _autoencoder_name(key, blocks)
        attention = ".attn_1." in name and ".norm." not in name and name.endswith(".weight")
        # The original attention is made of 1x1 convolutions.
        found[f"first_stage_model.{name}"] = tensor[:, :, None, None] if attention and tensor.ndim == 2 else tensor
    return found


def _autoencoder_name(key: str, blocks: int) -> str:
    """Return the original name of an autoencoder's tensor; the original counts the decoder's blocks from the end."""
    name = key
    for pattern, new in _AUTOENCODER:
        name = re.sub(pattern, new, name)
    up = re.match(r"decoder\.up_blocks\.(\d+)\.(resnets\.(\d+)|upsamplers\.0)\.(.*)", name)
    if up:
        below = f"block.{up[3]}" if up[3] is not None else "upsample"
        name = f"decoder.up.{blocks - 1 - int(up[1])}.{below}.{up[4]}"
    for old, new in _ATTENTION.items():
        name = name.replace(f".attn_1.{old}.", f".attn_1.{new}.")
    return name


FORMAT = Format(
    name="checkpoint_file",
    title="merged model as a single file (A1111, Forge, ComfyUI)",
    recognise=lambda source: False,
    merge=_merge,
    needs_names=lambda card: True,
)
