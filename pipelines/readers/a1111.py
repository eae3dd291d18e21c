"""AUTOMATIC1111's web UI: kohya's names, with two oddities of its text encoders and one of its kinds.

Names of blocks it computes for two resnets per level, as every Stable Diffusion has. OpenCLIP's attention (the second
encoder of SDXL, the one of SD 2) is one module there, changed only where all four projections have a change; that
encoder's norms have no name in a file. A module whose tensors it cannot tell stops the whole file: a bias without a
weight is one. Every magnitude it takes per input, whatever its shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pipelines.formats._names import ModuleNames, Place, encoder_name, text_path
from pipelines.readers import _rules as rules
from pipelines.readers._reader import Layers, Leaves, Reader, Taken

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipelines.formats._layer import Layer

_ENDS = rules.LORA_ENDS | rules.LOHA_ENDS | rules.LOKR_ENDS | rules.FULL_ENDS | {"dora_scale", "weight", "on_input"}
_OPEN_CLIP = ("clip_g", "clip_h")
_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_UNNAMED = ("conv_norm_out", "add_embedding")
"""Modules of a UNet that diffusers' names do not reach; the original names do."""
_WHOLE = (
    (*rules.LORA,),
    ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
    ("weight",),
    ("lokr_w1", "lokr_w2"),
    ("lokr_w1", "lokr_w2_a", "lokr_w2_b"),
    ("lokr_w1_a", "lokr_w1_b", "lokr_w2"),
    ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"),
    ("diff",),
    ("w_norm", "b_norm"),
)
"""Sets of tensors of which a module must hold one whole."""


def _spellings(place: Place, names: ModuleNames) -> Iterator[str]:
    if place.part == "unet":
        if not place.path.startswith(_UNNAMED):
            yield f"lora_unet_{place.path.replace('.', '_')}"
        original = names.known_original(place.path)
        if original is not None:
            yield f"lora_unet_{original.replace('.', '_')}"
        return
    path = text_path(place.path)
    flat = path.replace(".", "_")
    if encoder_name(place.part, names) in _OPEN_CLIP:
        if ".mlp.fc" in path or ".self_attn." in path:
            yield f"{'lora_te2' if place.part == 'text_encoder_2' else 'lora_te'}_{flat}"
        return
    if path.startswith("text_model.embeddings."):
        return  # words and places are found by name and never changed
    if "text_encoder_2" not in names.parts and path.startswith("text_model.encoder.layers."):
        yield f"lora_te_{flat}"
    yield f"lora_te1_{flat}"


def _refuse(groups: Mapping[Place, Leaves], unread: Sequence[str]) -> str:
    odd = [place for place, own in groups.items() if not any(all(end in own for end in whole) for whole in _WHOLE)]
    if not odd:
        return ""
    held = ", ".join(sorted(groups[odd[0]]))
    return f"it stops at a module with {held} alone ({odd[0].part}/{odd[0].path}; {len(odd)} such modules)"


def _take(leaves: Leaves, place: Place, host: nn.Module) -> Taken | None:
    weight = host._parameters["weight"]
    assert weight is not None
    scale = leaves.get("dora_scale")
    if rules.product_kind(leaves) and scale is None:
        return rules.taken_product(leaves, weight)
    if rules.product_kind(leaves):
        assert scale is not None
        return rules.with_magnitude(leaves, scale, lambda base, total: rules.column_norm(total))
    if "weight" in leaves:
        return _ia3(leaves, weight.ndim)
    full, bias = ("diff", "diff_b") if "diff" in leaves else ("w_norm", "b_norm")
    return Taken(rules.added(leaves[full]), leaves.get(bias))


def _ia3(leaves: Leaves, dimensions: int) -> Taken | None:
    if dimensions != 2:
        return None  # it multiplies along the kernel
    value = leaves["weight"].double().flatten()
    on_input = bool(leaves["on_input"].any())
    return Taken(lambda base: base * (value if on_input else value[:, None]))


def _needs(taken: Mapping[Place, Taken], names: ModuleNames) -> Mapping[Place, Taken]:
    """Drop OpenCLIP's attention where not all four projections are there, and the biases of the first three."""
    found = {}
    for place, own in taken.items():
        host, _, leaf = place.path.rpartition(".")
        if leaf not in _ATTENTION or place.part == "unet" or encoder_name(place.part, names) not in _OPEN_CLIP:
            found[place] = own
        elif all(Place(place.part, f"{host}.{other}") in taken for other in _ATTENTION):
            found[place] = own if leaf == "out_proj" else Taken(own.change, None, own.plain)
    return found


def _complete(layers: Layers, names: ModuleNames) -> Layers:
    """Add a change of nothing to OpenCLIP's projections whose siblings have a change."""
    done = {part: dict(own) for part, own in layers.items()}
    for part, own in layers.items():
        if part == "unet" or encoder_name(part, names) not in _OPEN_CLIP:
            continue
        for path in own:
            host, _, leaf = path.rpartition(".")
            for other in _ATTENTION if leaf in _ATTENTION else ():
                if f"{host}.{other}" not in done[part]:
                    weight = names.hosts[Place(part, f"{host}.{other}")]._parameters["weight"]
                    assert weight is not None
                    done[part][f"{host}.{other}"] = _nothing(weight)
    return done


def _nothing(weight: Tensor) -> Layer:
    import torch

    from pipelines.formats._layer import Layer

    return Layer("lora", {"up": torch.zeros(weight.shape[0], 1), "down": torch.zeros(1, *weight.shape[1:])})


READER = Reader(
    name="a1111",
    title="AUTOMATIC1111",
    version="extensions-builtin/Lora of 1.10.1, 82a973c0",
    formats=("kohya",),
    kinds={"kohya": frozenset({"lora", "dora_input", "loha", "lokr", "ia3", "full"})},
    spellings=_spellings,
    ends=_ENDS,
    take=_take,
    refuse=_refuse,
    words=frozenset({"both"}),
    complete=_complete,
    bias_alone=False,
    needs=_needs,
)
