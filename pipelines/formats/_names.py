"""Names of a live model's modules in every program's spelling, and the way back.

Names are resolved by looking them up in the model that is there: each module is spelled out in all known ways with
every ``.`` as ``_``, and a file's name, treated the same, either is one of them or is counted as unmatched. No name is
taken apart by guessing, because ``_`` also occurs inside names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


_TEXT_PARTS = ("text_encoder", "text_encoder_2")
_LEVEL = "text_model."
"""A level of a CLIP text encoder that transformers 5.6 removed from CLIPTextModel alone; files always have it."""
_WIDTH_CLIP_H = 1024
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_WRAPPERS = ("base_model_model_", "_orig_mod_")
"""What PEFT and ``torch.compile`` put into a module's name wherever they wrapped a model, once or more often."""
_PARALLEL = "module_"
"""What training on several devices puts before all names."""
_UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}


@dataclass(frozen=True)
class Place:
    """Where a module is: part and path, as the loaded base has them."""

    part: str
    path: str


class ModuleNames:
    """All modules with a weight of their own in a base's parts, under all spellings."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        self.hosts: dict[Place, nn.Module] = {
            Place(part, path): module
            for part, root in parts.items()
            for path, module in root.named_modules()
            if module._parameters.get("weight") is not None
        }
        self._original = original_unet_names(parts["unet"]) if "unet" in parts else {}
        self.parts = tuple(parts)
        spelled: dict[str, Place | None] = {}
        for place in self.hosts:
            for name in self._spellings(place):
                spelled[name] = (
                    place if spelled.get(name, place) == place else None
                )  # ambiguous names count for nothing
        self._spelled = spelled

    def find(self, name: str) -> Place | None:
        """Return the module that a file calls by a name, in any program's spelling."""
        flat = name.replace(".", "_")
        return self._spelled[flat] if flat in self._spelled else self._spelled.get(self._unwrapped(flat))

    def _unwrapped(self, flat: str) -> str:
        """Return a name without what wrapping a model left in it, and with a part's name once instead of twice."""
        found = f"_{flat}"
        for wrapper in _WRAPPERS:
            while f"_{wrapper}" in found:
                found = found.replace(f"_{wrapper}", "_", 1)
        found = found[1:].removeprefix(_PARALLEL)
        for part in self.parts:
            while found.startswith(f"{part}_{part}_"):
                found = found.removeprefix(f"{part}_")
        return found

    def original(self, path: str) -> str:
        """Return a UNet module's name in the original (LDM and SGM) code.

        Raises:
            KeyError: the module has none there.
        """
        return self._original[path]

    def known_original(self, path: str) -> str | None:
        """Return a UNet module's original name, None where it has none or the UNet is not there to count its blocks."""
        return self._original.get(path)

    def _spellings(self, place: Place) -> Iterator[str]:
        part, path = place.part, place.path
        if part in _TEXT_PARTS:
            bare = path.removeprefix(_LEVEL)
            tails = [bare, _LEVEL + bare]
            prefixes = _text_prefixes(part, self.parts)
        else:
            tails = [path, *([self._original[path]] if path in self._original and part == "unet" else ())]
            prefixes = ["", f"{part}.", f"lycoris.{part}.", "base_model.model."]
            if part == "unet":
                prefixes += ["lora_unet.", "oft_unet.", "lycoris.", "diffusion_model.", "model.diffusion_model."]
        for tail in tails:
            for prefix in prefixes:
                yield (prefix + tail).replace(".", "_")


def _text_prefixes(part: str, parts: Sequence[str]) -> list[str]:
    if part == "text_encoder_2":
        own = ["lora_te2.", "text_encoders.clip_g.", "text_encoders.clip_g.transformer.", "lycoris.te2."]
    else:
        # diffusers' own exporter writes te1 for a base with a single text encoder as well; te alone is never SDXL.
        own = ["lora_te1.", "lycoris.te1.", "text_encoders.clip_l.", "text_encoders.clip_l.transformer."]
        if "text_encoder_2" not in parts:
            own += ["lora_te.", "lycoris.te.", "text_encoders.clip_h.", "text_encoders.clip_h.transformer."]
    return ["", f"{part}.", "base_model.model.", *own]


def kohya_name(place: Place, names: ModuleNames | None, *, sdxl: bool) -> str:
    """Return what kohya's scripts call a module; SDXL's UNet goes by its original names.

    Raises:
        KeyError: the module has no such name.
    """
    if place.part in _TEXT_PARTS:
        root = {"text_encoder": "lora_te1" if sdxl else "lora_te", "text_encoder_2": "lora_te2"}[place.part]
        path = text_path(place.path)
    else:
        root = {"unet": "lora_unet"}[place.part]
        path = names.original(place.path) if sdxl and names is not None else place.path
    return f"{root}_{path}".replace(".", "_")


def diffusers_name(place: Place) -> str:
    """Return what diffusers calls a module in a LoRA file."""
    return f"{place.part}.{text_path(place.path) if place.part in _TEXT_PARTS else place.path}"


def comfyui_name(place: Place, names: ModuleNames) -> str:
    """Return ComfyUI's own name of a module.

    Raises:
        KeyError: the module has no such name.
    """
    if place.part == "unet":
        return f"diffusion_model.{names.original(place.path)}"
    return f"text_encoders.{encoder_name(place.part, names)}.transformer.{text_path(place.path)}"


def encoder_name(part: str, names: ModuleNames) -> str:
    """Return which text encoder a part is: ``clip_l``, ``clip_g`` (SDXL's second) or ``clip_h`` (SD 2's only one).

    Raises:
        KeyError: the part is no text encoder.
    """
    if part not in _TEXT_PARTS:
        raise KeyError(part)
    if part == "text_encoder_2":
        return "clip_g"
    words = (module for place, module in names.hosts.items() if place.part == part and "token_embedding" in place.path)
    weight = next((module._parameters["weight"] for module in words), None)
    alone = "text_encoder_2" not in names.parts
    return "clip_h" if alone and weight is not None and weight.shape[1] == _WIDTH_CLIP_H else "clip_l"


def text_path(path: str) -> str:
    """Return a text encoder's path with the level that every program but new transformers has."""
    return path if path.startswith((_LEVEL, "text_projection")) else _LEVEL + path


def original_unet_names(unet: nn.Module) -> dict[str, str]:
    """Return path -> original (LDM and SGM) name for the modules of a diffusers UNet.

    Blocks are counted as the original code lists them: every resnet, downsampler and upsampler of the live model in the
    order in which it runs. A resnet is entry 0 of its block, the attention behind it entry 1, an upsampler the last.
    """
    roots = dict(_block_roots(unet))
    names: dict[str, str] = {}
    for path, module in unet.named_modules():
        if module._parameters.get("weight") is None:
            continue
        if path in _UNET_ENDS:
            names[path] = _UNET_ENDS[path]
            continue
        root = next((root for root in roots if path.startswith(f"{root}.")), None)
        if root is None:
            continue
        rest = path[len(root) + 1 :]
        if ".resnets." in root:
            if rest in _RESNET:
                names[path] = f"{roots[root]}.{_RESNET[rest]}"
        else:
            names[path] = f"{roots[root]}.{'op' if '.downsamplers.' in root else rest}"
    return names


def _block_roots(unet: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield (path of a resnet, attention or sampler, its original name)."""
    paths = {path for path, _ in unet.named_modules()}

    def count(prefix: str) -> int:
        return next(number for number in range(1000) if f"{prefix}.{number}" not in paths)

    position = 1
    for block in range(count("down_blocks")):
        root = f"down_blocks.{block}"
        for number in range(count(f"{root}.resnets")):
            yield from _pair(root, number, f"input_blocks.{position}", paths)
            position += 1
        if f"{root}.downsamplers.0" in paths:
            yield f"{root}.downsamplers.0", f"input_blocks.{position}.0"
            position += 1
    yield "mid_block.resnets.0", "middle_block.0"
    yield "mid_block.attentions.0", "middle_block.1"
    yield "mid_block.resnets.1", "middle_block.2"
    position = 0
    for block in range(count("up_blocks")):
        root = f"up_blocks.{block}"
        resnets = count(f"{root}.resnets")
        for number in range(resnets):
            yield from _pair(root, number, f"output_blocks.{position}", paths)
            if number == resnets - 1 and f"{root}.upsamplers.0" in paths:
                entry = 2 if f"{root}.attentions.{number}" in paths else 1
                yield f"{root}.upsamplers.0", f"output_blocks.{position}.{entry}"
            position += 1


def _pair(root: str, number: int, name: str, paths: set[str]) -> Iterator[tuple[str, str]]:
    yield f"{root}.resnets.{number}", f"{name}.0"
    if f"{root}.attentions.{number}" in paths:
        yield f"{root}.attentions.{number}", f"{name}.1"
