"""The single file of kohya's scripts, which A1111, Forge, ComfyUI and most others read; LyCORIS stores its kinds in it.

Keys: ``lora_unet_<path with _>.lora_down.weight``; text encoders ``lora_te_`` (SD 1.x and 2.x), ``lora_te1_`` and
``lora_te2_`` (SDXL), whose UNet goes by its original names; ``oft_unet_`` for kohya's own OFT. Written files have
alpha = rank beside every module, or no alpha at all where ranks differ: diffusers 0.42 applies one module's alpha to
another, and every reader takes a missing alpha for a scale of 1 but LyCORIS, which stops there (``--for kohya``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.formats._format import Export, Format, Found
from pipelines.formats._names import ModuleNames, Place, kohya_name
from pipelines.formats._words import BUNDLED
from trainers.card import AdapterCard
from trainers.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.formats._layer import Layer
    from pipelines.formats._source import Source

ROOTS = ("lora_unet_", "oft_unet_", "lora_te_", "lora_te1_", "lora_te2_", "lycoris_")
_EMBEDDING_KEYS = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}


def is_sdxl(card: AdapterCard) -> bool:
    """Return whether an adapter belongs to a base with two text encoders, whose UNet goes by original names."""
    return card.base.family.startswith("sdxl") or "text_encoder_2" in card.parts


def layer_tensors(layer: Layer, name: str, export: Export, *, alpha: bool) -> dict[str, Tensor]:
    """Return one module's keys and tensors as kohya's scripts and LyCORIS write them."""
    import torch

    own = layer.tensors
    found: dict[str, Tensor] = {}
    if layer.kind == "lora":
        down = own["down"]
        up = own["up"].flatten(1)
        found["lora_down.weight"] = down
        found["lora_up.weight"] = up.reshape(*up.shape, *[1] * (down.ndim - 2))
    elif layer.kind == "loha":
        found |= {f"hada_{key}": own[key] for key in own if key.startswith(("w", "t"))}
    elif layer.kind == "lokr":
        found |= {f"lokr_{key}": own[key] for key in own if key.startswith(("w", "t"))}
    elif layer.kind == "ia3":
        on_input = "input" in own
        offset = next(own[key] for key in ("input", "output") if key in own) - 1
        found["weight"] = offset
        found["on_input"] = torch.tensor(int(on_input))
    elif "weight" in own and own["weight"].ndim == 1:
        found["w_norm"] = own["weight"]
    elif "weight" in own:
        found["diff"] = own["weight"]
    if "bias" in own:
        found["b_norm" if "w_norm" in found else "diff_b"] = own["bias"]
    if layer.magnitude:
        value = own[layer.magnitude]
        ones = [1] * (own["down"].ndim - 1 if layer.kind == "lora" else 1)
        found["dora_scale"] = (
            value.reshape(-1, *ones) if layer.magnitude == "magnitude" else value.reshape(1, -1, *ones[1:])
        )
    # A magnitude is as small as a bias, and its rounding would be felt in every number of its row.
    kept = {"dora_scale": torch.float32}
    cast = {
        f"{name}.{key}": v if v.dtype == torch.int64 else export.tensor(v, kept.get(key)) for key, v in found.items()
    }
    if alpha and layer.kind in ("lora", "loha", "lokr"):
        cast[f"{name}.alpha"] = torch.tensor(float(layer.rank or 1))
    return cast


def writes_alphas(export: Export) -> bool:
    """Return whether alphas are written: where all LoRA layers have one rank, or the reader needs them.

    With several ranks diffusers would take one module's alpha for another's.
    """
    if export.alphas:
        return True
    ranks = {layer.rank for layers in export.layers.values() for layer in layers.values() if layer.kind == "lora"}
    return len(ranks) < 2


def _recognise(source: Source) -> bool:
    return any(key.startswith(ROOTS) for key in source.tensors)


def _read(source: Source, names: ModuleNames) -> Found:
    from pipelines.formats._layered_file import read_layers

    return read_layers(source, names)


def _write(path: Path, export: Export) -> None:
    from pipelines.formats._metadata import kohya_metadata
    from trainers.tensor_files import write_tensors

    sdxl = is_sdxl(export.card)
    alpha = writes_alphas(export)
    tensors: dict[str, Tensor] = {}
    for part, layers in export.layers.items():
        for module, layer in layers.items():
            try:
                name = kohya_name(Place(part, module), export.names, sdxl=sdxl)
            except KeyError as error:
                raise UserError(f"The module {part}/{module} has no name in kohya's format.") from error
            tensors |= layer_tensors(layer, name, export, alpha=alpha or layer.kind != "lora")
    for token, parts in export.embeddings.items():
        for part, rows in parts.items():
            tensors[f"{BUNDLED}{token}.{_EMBEDDING_KEYS[part]}"] = export.tensor(rows)
    write_tensors(path, tensors, kohya_metadata(export, tensors))


FORMAT = Format(
    name="kohya",
    title="kohya single file (A1111, Forge, ComfyUI, LyCORIS)",
    recognise=_recognise,
    read=_read,
    write=_write,
    kinds=frozenset({"lora", "dora", "dora_input", "loha", "lokr", "ia3", "full"}),
    needs_names=is_sdxl,
    order=20,
)
