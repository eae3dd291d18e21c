"""What a file is that was given for an adapter and is none, told by its keys alone."""

import re
from collections.abc import Collection
from dataclasses import dataclass

_OF_ADAPTERS = re.compile(
    r"(^|[._])lora([._]|$)|lora_(A|B|up|down|mid|magnitude_vector)\b|\.(hada|lokr)_\w+$|\.(dora_scale|on_input|alpha)$|"
    r"\.(diff|diff_b|w_norm|b_norm)$|oft_blocks$|\.[ab][12]\.weight$|^bundle_emb\."
)
_EXTRACT = "Bring the whole model into diffusers layout and use studio extract FOLDER to get what it learned."
_STEERS = "It steers a picture by another one, which is not read; give a LoRA's file instead."
_BASE_PART = "It belongs to a base; give an adapter's file instead."


@dataclass(frozen=True)
class _Sign:
    """Marks that keys contain: of each group at least one must be there."""

    said: str
    advice: str
    groups: tuple[tuple[str, ...], ...]


# The more special ones first. A mark with ^ must be the key's beginning.
_SIGNS = (
    _Sign("a Control-LoRA, not an adapter of the base alone", _STEERS, (("^lora_controlnet",),)),
    _Sign(
        "a ControlNet, not an adapter of the base",
        _STEERS,
        (("^control_model.", "controlnet_cond_embedding.", "input_hint_block.", "controlnet_down_blocks."),),
    ),
    _Sign(
        "an IP-Adapter, not an adapter of weights",
        "It draws after a given picture, which is not read; give a LoRA's file instead.",
        (("^ip_adapter.", "to_k_ip"),),
    ),
    _Sign(
        "a LoRA in the format of cloneofsimo/lora",
        "It numbers its modules instead of naming them, so it is not read; convert it to kohya's format with its own "
        "tools.",
        (("^unet:0:", "^text_encoder:0:"),),
    ),
    _Sign(
        "a whole model, not an adapter",
        _EXTRACT,
        (("^model.diffusion_model.",), ("^first_stage_model.", "^cond_stage_model.", "^conditioner.")),
    ),
    _Sign(
        "a whole model of another architecture, not an adapter",
        "Neither it nor adapters of it can be used; give one of Stable Diffusion 1, 2 or XL, or of a language model.",
        (("double_blocks.", "joint_blocks.", "single_transformer_blocks.", "^transformer_blocks.", "double_stream_"),),
    ),
    _Sign("a whole model (its UNet), not an adapter", _EXTRACT, (("^model.diffusion_model.", "^diffusion_model."),)),
    _Sign("a whole model (its UNet), not an adapter", _EXTRACT, (("^down_blocks.", "^unet.", "^input_blocks."),)),
    _Sign(
        "an autoencoder (VAE), not an adapter",
        _BASE_PART,
        (
            (
                "^first_stage_model.",
                "^encoder.down",
                "^decoder.up",
                "^decoder.mid",
                "^encoder.conv_in",
                "^decoder.conv_in",
            ),
        ),
    ),
    _Sign(
        "a text encoder, not an adapter",
        _BASE_PART,
        (
            (
                *("^text_model.", "^cond_stage_model.", "^conditioner.", "^text_encoder", "transformer.resblocks."),
                *("^encoder.block.", "^shared.weight", "^text_projection"),
            ),
        ),
    ),
    _Sign(
        "a whole language model, not an adapter",
        "Use its folder as the base, or studio extract FOLDER to get what it learned.",
        (("^model.layers.", "^model.embed_tokens.", "^transformer.h.", "^lm_head.", "^gpt_neox.", "^h.0."),),
    ),
    _Sign(
        "an upscaler, not an adapter",
        "It enlarges pictures, which is not read; give a LoRA's file instead.",
        (("RRDB_trunk", "^body.0.rdb", "^conv_first.", "^model.1.sub."),),
    ),
)


def is_adapter_key(key: str) -> bool:
    """Return whether a key is of an adapter, in any spelling; such a file is left to the formats."""
    return bool(_OF_ADAPTERS.search(key))


def other_model(keys: Collection[str]) -> str:
    """Return what a file with these keys is and what to do, to stand behind its name; empty where nothing is known."""
    adapter = any(map(is_adapter_key, keys))
    for sign in _SIGNS[:1] if adapter else _SIGNS:
        if all(any(_fits(mark, key) for key in keys for mark in group) for group in sign.groups):
            return f"is {sign.said}. {sign.advice}"
    return ""


def _fits(mark: str, key: str) -> bool:
    return key.startswith(mark[1:]) if mark.startswith("^") else mark in key
