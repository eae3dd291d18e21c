"""What ComfyUI's and Forge's loaders have in common: Forge took its names and its arithmetic over from ComfyUI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.formats._names import ModuleNames, Place, encoder_name, text_path
from pipelines.readers import _rules as rules
from pipelines.readers._reader import Leaves, Taken

if TYPE_CHECKING:
    from torch import Tensor, nn

ENDS = rules.LORA_ENDS | rules.LOHA_ENDS | rules.LOKR_ENDS | rules.FULL_ENDS | {
    "dora_scale",
    "lora_A.weight",
    "lora_B.weight",
}  # fmt: skip
KINDS = frozenset({"lora", "dora", "dora_input", "loha", "lokr", "full"})
_LAYER = re.compile(r"text_model\.encoder\.layers\.\d+\.(mlp\.fc[12]|self_attn\.(q|k|v|out)_proj)")
_NUMBERS = {"text_encoder": ("lora_te1", "lora_te"), "text_encoder_2": ("lora_te2",)}


def spellings(place: Place, names: ModuleNames) -> Iterator[str]:
    """Yield the names that both loaders look a module up by."""
    if place.part in _NUMBERS:
        yield from _text_spellings(place, names)
        return
    original = names.known_original(place.path)
    if original is not None:
        yield f"lora_unet_{original.replace('.', '_')}"
        yield f"diffusion_model.{original}"
    flat = place.path.replace(".", "_")
    yield f"lora_unet_{flat}"
    yield f"lycoris_{flat}"
    # diffusers' names of 2023, when attention had processors: of today's file no attention is found.
    old = place.path.replace(".to_", ".processor.to_").removesuffix(".0" if place.path.endswith(".to_out.0") else "")
    yield old
    yield f"unet.{old}"


def _text_spellings(place: Place, names: ModuleNames) -> Iterator[str]:
    path = text_path(place.path)
    if path == "text_projection":
        number = "1" if place.part == "text_encoder" else "2"
        yield f"lora_te{number}_text_projection"
        return
    if not _LAYER.fullmatch(path):
        return  # norms and embeddings have no name here
    if encoder_name(place.part, names) == "clip_g" or place.part == "text_encoder":
        yield from (f"{root}_{path.replace('.', '_')}" for root in _NUMBERS[place.part])
        yield f"{place.part}.{path}"


def take(leaves: Leaves, place: Place, host: nn.Module) -> Taken | None:
    """Return what both loaders do with one module's tensors."""
    weight = host._parameters["weight"]
    assert weight is not None
    leaves = _renamed(leaves)
    bias = leaves.get("diff_b", leaves.get("b_norm") if "w_norm" in leaves else None)
    full = leaves.get("diff", leaves.get("w_norm"))
    if full is not None:  # comes last and replaces what was found before
        if full.shape != weight.shape:
            return Taken(None, bias) if bias is not None else None
        return Taken(rules.added(full), bias)
    scale = leaves.get("dora_scale")
    if scale is None:
        return rules.taken_product(leaves, weight, bias) or (Taken(None, bias) if bias is not None else None)
    by_output = scale.shape[0] == weight.shape[0]
    return rules.with_magnitude(leaves, scale, _over_the_base if by_output else _over_the_sum)


def _over_the_base(base: Tensor, total: Tensor) -> Tensor:
    return rules.row_norm(base) + rules.FLOAT32_STEP


def _over_the_sum(base: Tensor, total: Tensor) -> Tensor:
    return rules.column_norm(total) + rules.FLOAT32_STEP


def _renamed(leaves: Leaves) -> Leaves:
    """Return PEFT's two factors under kohya's names."""
    new = {"lora_B.weight": "lora_up.weight", "lora_A.weight": "lora_down.weight"}
    return {new.get(end, end): tensor for end, tensor in leaves.items()}
