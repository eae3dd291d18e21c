"""Kinds of layers of a Stable Diffusion UNet and a CLIP text encoder, by their names."""

from collections.abc import Mapping

from torch import nn

_TEXT = {
    "attention": ("q_proj", "k_proj", "v_proj", "out_proj"),
    "feed_forward": ("fc1", "fc2"),
    "norm": ("layer_norm1", "layer_norm2", "final_layer_norm"),
}
_TEXT_HOSTS = {"attention_block": (".self_attn",), "feed_forward_block": (".mlp",)}
TARGETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "unet": {
        "attention": ("to_q", "to_k", "to_v", "to_out.0"),
        "feed_forward": ("ff.net.0.proj", "ff.net.2"),
        "convolution": (
            "conv1",
            "conv2",
            "conv_shortcut",
            "downsamplers.0.conv",
            "upsamplers.0.conv",
        ),
        "norm": ("norm", "norm1", "norm2", "norm3", "conv_norm_out"),
    },
    "text_encoder": _TEXT,
    "text_encoder_2": _TEXT,
}
# Whole modules that a method sits on, by the ends of their paths.
_HOSTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "unet": {
        "attention_block": (".attn1", ".attn2"),
        "cross_attention_block": (".attn2",),
        "feed_forward_block": (".ff",),
    },
    "text_encoder": _TEXT_HOSTS,
    "text_encoder_2": _TEXT_HOSTS,
}
_BLOCKS = {
    "unet": "BasicTransformerBlock",
    "text_encoder": "CLIPEncoderLayer",
    "text_encoder_2": "CLIPEncoderLayer",
}
# A UNet's blocks run in this order, which is not the order of its attributes.
_STAGES = ("down_blocks", "mid_block", "up_blocks")


def host_targets(part: str, module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return the full paths of a part's blocks, attention and feed-forward modules in the order in which they run."""
    stage = {name: number for number, name in enumerate(_STAGES)}
    kinds = {path: type(child).__name__ for path, child in module.named_modules()}
    paths = sorted(kinds, key=lambda path: stage.get(path.partition(".")[0], 0))
    hosts = {kind: tuple(path for path in paths if path.endswith(ends)) for kind, ends in _HOSTS[part].items()}
    return {**hosts, "block": tuple(path for path in paths if kinds[path] == _BLOCKS[part])}
