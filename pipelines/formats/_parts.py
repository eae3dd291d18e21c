"""Layers to a part of a library adapter, and back: PEFT's own methods where exact, else full deltas.

PEFT has one kind per part. A part becomes LoRA, DoRA, LoHa, LoKr or IA³ when all its layers are of that kind and PEFT
computes the same with them, which is tried on the live module. Anything else (kinds mixed in one part, OFT of LyCORIS,
which turns outputs where PEFT turns inputs, DoRA on the input axis, changed norms and biases) becomes full deltas
against the base: exact, but as large as the weights.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.formats._layer import Layer, dense
from pipelines.formats._part_layers import DELTA_TYPE, attached_part
from trainers.adapter import KEY_PREFIX, AdapterPart
from trainers.errors import UserError

WORD_METHOD = "textual_inversion"
WORD_TYPE = "STUDIO_TEXTUAL_INVERSION"
_DELTA_KEY = ".sidecar_delta.beside."


@dataclass(frozen=True)
class MadePart:
    """One part of an adapter, made of layers."""

    part: AdapterPart
    method: str
    settings: Mapping[str, Any]
    note: str
    """What the change of form cost, empty where nothing changed."""


def part_of_layers(layers: Mapping[str, Layer], module: nn.Module, *, what: str) -> MadePart:
    """Return layers by path as one part of an adapter for a live module, which is left as it was."""
    for method, candidates in _CANDIDATES.items():
        for config, tensors in candidates(layers, module):
            part = AdapterPart({**config, "target_modules": sorted(layers)}, tensors)
            if method in ("lora", "dora") or _loads(part, module):
                return MadePart(part, method, _settings(config), "")
    kinds = Counter(layer.title for layer in layers.values())
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    own = sum(tensor.numel() for layer in layers.values() for tensor in layer.tensors.values())
    part = delta_part({path: dense(layer, _weight(module, path)) for path, layer in layers.items()}, module)
    larger = sum(tensor.numel() for tensor in part.tensors.values()) / max(own, 1)
    note = f"{what}: {listed} became full deltas, because PEFT has no exact form for them together"
    if larger >= 1.05:
        note += f"; no loss but {larger:.1f} times the size"
    plain = set(kinds) == {"full delta"}
    return MadePart(part, "partial", {"last_blocks": 0}, "" if plain else f"{note}.")


def lora_part(layers: Mapping[str, Layer]) -> AdapterPart:
    """Return LoRA layers, or DoRA layers on the output axis, as one PEFT LoRA with ranks and alphas per module."""
    dora = any(layer.magnitude for layer in layers.values())
    config = {**_lora_config(layers), "use_dora": dora, "target_modules": sorted(layers)}
    return AdapterPart(config, _lora_tensors(layers))


def delta_part(layers: Mapping[str, Layer], module: nn.Module) -> AdapterPart:
    """Return full deltas as one part; where a layer changes only its weight or its bias, the other's delta is zero."""
    any_bias = any("bias" in layer.tensors for layer in layers.values())
    any_weight = any("weight" in layer.tensors for layer in layers.values())
    wanted = [name for name, there in (("weight", any_weight), ("bias", any_bias)) if there]
    tensors = {}
    for path, layer in layers.items():
        host = module.get_submodule(path)
        for name in wanted:
            own = host._parameters.get(name)
            if own is None:
                continue
            value = layer.tensors.get(name)
            value = torch.zeros(own.shape) if value is None else value.float()
            tensors[f"{KEY_PREFIX}{path}{_DELTA_KEY}{name}"] = value
    config = {"peft_type": DELTA_TYPE, "target_modules": sorted(layers), "settings": {"tensors": wanted}}
    return AdapterPart(config, tensors)


def embedding_part(token: str, rows: Tensor, module: nn.Module) -> AdapterPart:
    """Return a new word's rows [n, d] as the method ``textual_inversion`` keeps them.

    At weight 0 an adapter stands where it began. A file does not say where that was: the mean of the base's words.
    """
    path = next(path for path, _ in module.named_modules() if path.endswith("token_embedding"))
    start = _weight(module, path).float().cpu().mean(dim=0).expand(len(rows), -1).contiguous()
    key = f"{KEY_PREFIX}{path}.sidecar_{WORD_METHOD}.beside."
    config = {
        "peft_type": WORD_TYPE,
        "target_modules": ["token_embedding"],
        "settings": {"word": token, "vectors": len(rows)},
    }
    return AdapterPart(config, {f"{key}vectors": rows.contiguous(), f"{key}start": start})


def _loads(part: AdapterPart, module: nn.Module) -> bool:
    try:
        with attached_part(part, module, what="probe"):
            return True
    except UserError:
        return False


Candidate = tuple[dict[str, Any], dict[str, Tensor]]


def _plain_lora(layers: Mapping[str, Layer], module: nn.Module) -> Iterator[Candidate]:
    if _all_are(layers, module, "lora", magnitude=""):
        yield _lora_config(layers), _lora_tensors(layers)


def _dora(layers: Mapping[str, Layer], module: nn.Module) -> Iterator[Candidate]:
    if _all_are(layers, module, "lora", magnitude="magnitude"):
        yield {**_lora_config(layers), "use_dora": True}, _lora_tensors(layers)


def _loha(layers: Mapping[str, Layer], module: nn.Module) -> Iterator[Candidate]:
    if not _all_are(layers, module, "loha", magnitude=""):
        return
    cores = any("t1" in layer.tensors for layer in layers.values())
    config = {"peft_type": "LOHA", **_patterns(layers, "alpha"), "use_effective_conv2d": cores}
    yield config, _tensors(layers, "hada")


def _lokr(layers: Mapping[str, Layer], module: nn.Module) -> Iterator[Candidate]:
    if not _all_are(layers, module, "lokr", magnitude=""):
        return
    sizes = {size for layer in layers.values() for size in _first_shape(layer)}
    cores = any("t2" in layer.tensors for layer in layers.values())
    both = any("w1_a" in layer.tensors for layer in layers.values())
    config = {"peft_type": "LOKR", **_patterns(layers, "alpha"), "use_effective_conv2d": cores, "decompose_both": both}
    for factor in (max(sizes), -1):
        yield {**config, "decompose_factor": factor}, _tensors(layers, "lokr")


def _ia3(layers: Mapping[str, Layer], module: nn.Module) -> Iterator[Candidate]:
    # PEFT multiplies the whole output, bias included; a file's IA³ on outputs multiplies the weight alone.
    if not _all_are(layers, module, "ia3", magnitude="") or any(
        "output" in layer.tensors and module.get_submodule(path)._parameters.get("bias") is not None
        for path, layer in layers.items()
    ):
        return
    tensors = {}
    for path, layer in layers.items():
        weight = _weight(module, path)
        (name, value) = next(iter(layer.tensors.items()))
        flat = (-1, 1) if name == "output" and weight.ndim == 2 else (1, -1, *[1] * (weight.ndim - 2))
        tensors[f"{KEY_PREFIX}{path}.ia3_l"] = value.reshape(flat)
    inputs = sorted(path for path, layer in layers.items() if "input" in layer.tensors)
    yield {"peft_type": "IA3", "feedforward_modules": inputs}, tensors


_CANDIDATES = {"lora": _plain_lora, "dora": _dora, "loha": _loha, "lokr": _lokr, "ia3": _ia3}


def _all_are(layers: Mapping[str, Layer], module: nn.Module, kind: str, *, magnitude: str) -> bool:
    matrices = (nn.Linear, nn.Conv2d)
    return all(
        layer.kind == kind
        and layer.magnitude == magnitude
        and "bias" not in layer.tensors
        and isinstance(module.get_submodule(path), matrices)
        for path, layer in layers.items()
    )


def _lora_config(layers: Mapping[str, Layer]) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        **_patterns(layers, "lora_alpha"),
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
    }


def _lora_tensors(layers: Mapping[str, Layer]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path, layer in layers.items():
        down, up = layer.tensors["down"], layer.tensors["up"].flatten(1)
        tensors[f"{KEY_PREFIX}{path}.lora_A.weight"] = down
        tensors[f"{KEY_PREFIX}{path}.lora_B.weight"] = up.reshape(*up.shape, *[1] * (down.ndim - 2))
        if layer.magnitude:
            magnitude = layer.tensors["magnitude"]
            row = magnitude.reshape(1, -1, 1, 1) if down.ndim == 4 else magnitude
            tensors[f"{KEY_PREFIX}{path}.lora_magnitude_vector"] = row
    return tensors


def _patterns(layers: Mapping[str, Layer], alpha_name: str) -> dict[str, Any]:
    """Return ranks and alphas: what is commonest, and a pattern for the rest.

    A pattern's key also speaks for longer paths that end in it, and the first that fits wins: all, longest first.
    """
    ranks = {path: _rank(layer) for path, layer in layers.items()}
    alphas = {path: layer.scale * ranks[path] for path, layer in layers.items()}
    common, alpha = _commonest(ranks.values()), _commonest(alphas.values())
    order = sorted(layers, key=len, reverse=True)
    return {
        "r": common,
        alpha_name: alpha,
        "rank_pattern": {path: ranks[path] for path in order} if len(set(ranks.values())) > 1 else {},
        "alpha_pattern": {path: alphas[path] for path in order} if len(set(alphas.values())) > 1 else {},
    }


def _rank(layer: Layer) -> int:
    """Return the rank to declare; LoKr with whole factors gets one that PEFT leaves whole too."""
    if layer.rank or layer.kind != "lokr":
        return layer.rank
    return max(layer.tensors["w2"].shape[:2])


def _first_shape(layer: Layer) -> tuple[int, ...]:
    own = layer.tensors
    return tuple(own["w1"].shape) if "w1" in own else (own["w1_a"].shape[0], own["w1_b"].shape[1])


def _tensors(layers: Mapping[str, Layer], root: str) -> dict[str, Tensor]:
    return {
        f"{KEY_PREFIX}{path}.{root}_{name}": tensor
        for path, layer in layers.items()
        for name, tensor in layer.tensors.items()
    }


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"rank": int(config["r"])} if "r" in config else {}


def _commonest(values: Any) -> Any:
    return Counter(values).most_common(1)[0][0]


def _weight(module: nn.Module, path: str) -> Tensor:
    weight: Tensor = module.get_submodule(path)._parameters["weight"]
    return weight.detach()
