"""Target words of a picture model's parts: kinds of layers, by the names and classes of its modules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.families._leaves import leaf_targets

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TargetWords:
    """What the words ``attention``, ``feed_forward`` … mean on one kind of model."""

    layers: Mapping[str, Sequence[str]]
    """Word -> ends of the paths of the layers it names."""
    hosts: Mapping[str, Sequence[str]]
    """Word -> ends of the paths of whole modules that a method sits on, each beginning with a dot."""
    block: str
    """Class of the blocks, which the word ``block`` names."""
    stages: Sequence[str] = field(default=())
    """Beginnings of paths in the order in which they run, where that is not the order of the attributes."""

    def found(self, module: nn.Module) -> dict[str, tuple[str, ...]]:
        """Return every word with the module names that it stands for in a bare model; blocks in running order."""
        stage = {name: number for number, name in enumerate(self.stages)}
        kinds = {path: type(child).__name__ for path, child in module.named_modules()}
        paths = sorted(kinds, key=lambda path: stage.get(path.partition(".")[0], 0))
        hosts = {word: tuple(path for path in paths if path.endswith(tuple(ends))) for word, ends in self.hosts.items()}
        block = {"block": tuple(path for path in paths if kinds[path] == self.block)}
        layers = {word: tuple(names) for word, names in self.layers.items()}
        return {**layers, **hosts, **block, **leaf_targets(module)}


UNET_WORDS = TargetWords(
    layers={
        "attention": ("to_q", "to_k", "to_v", "to_out.0"),
        "feed_forward": ("ff.net.0.proj", "ff.net.2"),
        "convolution": ("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv"),
        "norm": ("norm", "norm1", "norm2", "norm3", "conv_norm_out"),
    },
    hosts={
        "attention_block": (".attn1", ".attn2"),
        "cross_attention_block": (".attn2",),
        "feed_forward_block": (".ff",),
    },
    block="BasicTransformerBlock",
    stages=("down_blocks", "mid_block", "up_blocks"),
)
CLIP_WORDS = TargetWords(
    layers={
        "attention": ("q_proj", "k_proj", "v_proj", "out_proj"),
        "feed_forward": ("fc1", "fc2"),
        "norm": ("layer_norm1", "layer_norm2", "final_layer_norm"),
        "word_embedding": ("token_embedding",),
    },
    hosts={"attention_block": (".self_attn",), "feed_forward_block": (".mlp",)},
    block="CLIPEncoderLayer",
)


def without_idle(
    module: nn.Module, words: Mapping[str, Sequence[str]], idle: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return words as full paths, less the modules that act on nothing."""
    paths = [path for path, _ in module.named_modules() if path not in idle]
    return {
        word: tuple(path for path in paths if f".{path}".endswith(ends))
        for word, names in words.items()
        if (ends := tuple(f".{name}" for name in names)) or not names
    }
