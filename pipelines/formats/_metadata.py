"""Metadata of written files: kohya's ``ss_`` fields and hashes, and Stability's ModelSpec 1.0.1. It holds no paths.

Hashes as kohya's scripts take them: over the file as serialised with the ``ss_`` fields alone, `sshs_model_hash` is the
SHA-256 of everything behind the header (so metadata and their order do not matter), `sshs_legacy_hash` the first eight
digits of the SHA-256 of 64 KiB from 1 MiB on.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import safetensors.torch
from torch import Tensor

from pipelines.formats._format import Export
from pipelines.formats._header import content_hash, legacy_hash
from pipelines.formats._layer import Layer
from trainers.card import AdapterCard

# (text width, UNet width) -> kohya's version, ModelSpec's architecture
_ARCHITECTURES = {
    (768, 320, "sd1"): ("sd_v1", "stable-diffusion-v1"),
    (1024, 320, "sd1"): ("sd_v2", "stable-diffusion-v2-512"),
    (768, 320, "sdxl"): ("sdxl_base_v1-0", "stable-diffusion-xl-v1-base"),
}
OVER_BASE = "adapter_studio.dora_magnitude"
"""Says, with the value ``base``, that magnitudes per output stand over the norm of the base's weight alone."""
ABOUT = ("license", "author", "description", "usage_hint", "tags")
"""What people say about an adapter, kept from file to file."""
_PATH = re.compile(r"[~/]|[\"'(]?[A-Za-z]:[\\/]|.*\\|(?!\w+://).*/.*/")


def architecture_of(card: AdapterCard) -> tuple[str, str]:
    """Return kohya's base version and ModelSpec's architecture; a base of other widths goes by its own name."""
    widths = card.base.widths
    key = (widths.get("text_width"), widths.get("unet_width"), card.base.family)
    own = f"{card.base.family}-{_plain(card.base.name)}"
    return _ARCHITECTURES.get(key, (own, own))  # type: ignore[arg-type]


def modelspec_metadata(export: Export, tensors: Mapping[str, Tensor], kind: str = "lora") -> dict[str, str]:
    """Return the ModelSpec fields of a file with these tensors."""
    card = export.card
    version, architecture = architecture_of(card)
    fields = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{architecture}/{kind}" if kind else architecture,
        "implementation": _implementation(version),
        "title": card.name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "resolution": "1024x1024" if version.startswith("sdxl") else "512x512",
        "trigger_phrase": ", ".join(card.triggers),
        "merged_from": ", ".join(_parents(export)),
        "hash_sha256": f"0x{content_hash(safetensors.torch.save(dict(tensors)))}",
    }
    about = card.training.get("about", {})
    for name in ABOUT:
        if isinstance(about, dict) and isinstance(about.get(name), str):
            fields[name] = _plain(about[name])
    return {f"modelspec.{name}": value for name, value in fields.items() if value}


def kohya_metadata(export: Export, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return all metadata of a kohya file with these tensors, hashes included."""
    card = export.card
    version, _ = architecture_of(card)
    layers = [layer for own in export.layers.values() for layer in own.values()]
    ranks = {layer.rank for layer in layers if layer.rank}
    kinds = Counter(layer.kind for layer in layers)
    lycoris = any(layer.kind != "lora" or layer.magnitude for layer in layers)
    common = str(next(iter(ranks))) if len(ranks) == 1 else "Dynamic" if ranks else "1"
    fields = {
        "ss_v2": str(version.startswith("sd_v2")),
        "ss_base_model_version": version,
        "ss_network_module": "lycoris.kohya" if lycoris else "networks.lora",
        "ss_network_dim": common,
        "ss_network_alpha": common,
        "ss_network_args": json.dumps(_network_args(layers, kinds.most_common(1)[0][0]) if lycoris else {}),
        "ss_output_name": card.name,
        "ss_sd_model_name": _plain(card.base.name),
        **_training_fields(card),
        **({OVER_BASE: "base"} if export.over_base else {}),
    }
    serialised = safetensors.torch.save(dict(tensors), fields)
    hashes = {"sshs_model_hash": content_hash(serialised), "sshs_legacy_hash": legacy_hash(serialised)}
    return {**fields, **hashes, **modelspec_metadata(export, tensors)}


def _network_args(layers: Sequence[Layer], kind: str) -> dict[str, str]:
    """Return LyCORIS's arguments that such layers are made with."""
    magnitudes = {layer.magnitude for layer in layers if layer.magnitude}
    if not magnitudes:
        return {"algo": kind}
    return {"algo": kind, "dora_wd": "True", "wd_on_output": str(magnitudes == {"magnitude"})}


def _training_fields(card: AdapterCard) -> dict[str, str]:
    """Return what is known of the training; a blend has none of its own."""
    if card.recipe is not None:
        return {}
    known = {
        "ss_steps": "steps",
        "ss_max_train_steps": "steps",
        "ss_seed": "seed",
        "ss_batch_size_per_device": "batch_size",
    }
    fields = {name: str(card.training[key]) for name, key in known.items() if isinstance(card.training.get(key), int)}
    pictures = card.data.get("pictures")
    return {**fields, **({"ss_num_train_images": str(pictures)} if isinstance(pictures, int) else {})}


def _parents(export: Export) -> list[str]:
    recipe = export.card.recipe
    return [parent.name for parent in recipe.parents] if recipe is not None else []


def _implementation(version: str) -> str:
    return "https://github.com/Stability-AI/generative-models" if version.startswith("sdxl") else "diffusers"


def _plain(text: str) -> str:
    """Return a text on one line, up to 500 characters, with every word that looks like a path cut to its last name."""
    words = (re.split(r"[/\\]", word.rstrip("/\\"))[-1] if _PATH.match(word) else word for word in text.split())
    return " ".join(words)[:500]
