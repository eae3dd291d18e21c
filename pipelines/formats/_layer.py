"""One module's share of an adapter, whatever kind it is, and the weight delta that it stands for.

Letters: r rank, o out and i in features, k kernel; W the base's weight, [o, i] or [o, i, k, k]. The kinds and their
tensors:

    lora   up [o, r], down [r, i(, k, k)]                  ΔW = s · up · down                Hu et al. 2021
    loha   w1_a w1_b w2_a w2_b (t1 t2)                     ΔW = s · (w1_a w1_b) ∘ (w2_a w2_b)   Yeh et al. 2023
    lokr   w1 or w1_a w1_b, w2 or w2_a w2_b (t2)           ΔW = s · w1 ⊗ w2                  Yeh et al. 2023
    ia3    output [o] or input [i]                         ΔW = W ∘ (l − 1)                  Liu et al. 2022
    oft    blocks [n, b, b] (rescale [o], limit)           ΔW = rescale ∘ (Rᵀ W) − W         Qiu et al. 2023, LyCORIS
    boft   blocks [m, n, b, b] (rescale [o], limit)        ΔW = rescale ∘ (B_m … B₁ W) − W   Liu et al. 2023, LyCORIS
    glora  a1 [i, r], a2 [r, i], b1 [o, r], b2 [r, i]      ΔW = s · (W a1 a2 + b1 b2)        Chavan et al. 2023, LyCORIS
    full   weight like W, bias like b                      ΔW = weight

A ``magnitude`` [o] (or ``magnitude_input`` [i]) beside the first three makes it DoRA (Liu et al. 2024): the sum W + ΔW
is brought to that norm by output (or input). A ``bias`` beside any kind is added to the base's bias.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

MULTIPLICATIVE = ("ia3", "oft", "boft", "glora")
MAGNITUDES = ("magnitude", "magnitude_input")


@dataclass(frozen=True)
class Layer:
    """One module's tensors by plain names, and the factor on what they make."""

    kind: str
    tensors: Mapping[str, Tensor]
    scale: float = 1.0

    @property
    def rank(self) -> int:
        """The rank of its factors; 0 where it has none."""
        if self.kind == "lora":
            return int(self.tensors["down"].shape[0])
        for name in ("w1_b", "w2_b"):
            if name in self.tensors:
                return int(self.tensors[name].shape[0])
        return 0

    @property
    def magnitude(self) -> str:
        """The name of its magnitude, empty where it has none."""
        return next((name for name in MAGNITUDES if name in self.tensors), "")

    @property
    def needs_base(self) -> bool:
        """Whether its delta depends on the base's weight."""
        return self.kind in MULTIPLICATIVE or bool(self.magnitude)

    @property
    def form(self) -> str:
        """The kind with its magnitude, as formats state what they can hold: ``lora``, ``dora``, ``dora_input`` …"""
        if not self.magnitude:
            return self.kind
        axis = "dora" if self.magnitude == "magnitude" else "dora_input"
        return axis if self.kind == "lora" else f"{self.kind}_{axis}"

    @property
    def title(self) -> str:
        """What the kind is called in running text."""
        names = {"lora": "LoRA", "loha": "LoHa", "lokr": "LoKr", "ia3": "IA³", "oft": "OFT", "full": "full delta"}
        names |= {"boft": "BOFT", "glora": "GLoRA"}
        if not self.magnitude:
            return names[self.kind]
        axis = " on the input axis" if self.magnitude == "magnitude_input" else ""
        return f"DoRA{axis}" if self.kind == "lora" else f"{names[self.kind]} with DoRA{axis}"


def dense_weight(layer: Layer, weight: Tensor) -> Tensor | None:
    """Return ΔW in float64, shaped like the base's weight, or None where the layer leaves the weight alone.

    Args:
        weight: the base's weight; only its shape matters where the kind does not need the base.
    """
    shape = weight.shape
    wide = {name: tensor.double() for name, tensor in layer.tensors.items() if name not in ("bias", *MAGNITUDES)}
    if layer.kind == "full":
        return wide["weight"].reshape(shape) if "weight" in wide else None
    if layer.kind == "ia3":
        return _ia3(wide, weight.double())
    if layer.kind in ("oft", "boft"):
        return _oft(wide, weight.double())
    if layer.kind == "glora":
        return layer.scale * _glora(wide, weight.double())
    product = {"lora": _lora, "loha": _loha, "lokr": _lokr}[layer.kind](wide)
    delta = layer.scale * product.reshape(shape)
    if layer.magnitude:
        total = weight.double() + delta
        magnitude = layer.tensors[layer.magnitude].double().flatten()
        return _with_norm(total, magnitude, by_output=layer.magnitude == "magnitude") - weight.double()
    return delta


def dense(layer: Layer, weight: Tensor) -> Layer:
    """Return the same effect as a full delta in float64."""
    found = dense_weight(layer, weight)
    tensors = {} if found is None else {"weight": found}
    if "bias" in layer.tensors:
        tensors["bias"] = layer.tensors["bias"].double()
    return Layer("full", tensors)


def fold_scale(layer: Layer) -> Layer:
    """Return the layer with its scale multiplied into one factor, so that no reader's alpha handling can matter."""
    first = "w1" if "w1" in layer.tensors else "w1_a"
    places = {"lora": ("up",), "loha": ("w1_a",), "lokr": (first,), "glora": ("a1", "b1")}.get(layer.kind)
    if places is None or layer.scale == 1.0:
        return layer
    folded = {place: layer.tensors[place].double() * layer.scale for place in places}
    return Layer(layer.kind, {**layer.tensors, **folded})


def tucker(core: Tensor, out_factor: Tensor, in_factor: Tensor) -> Tensor:
    """Return the kernel Σ core[p, q, …] out_factor[p, o] in_factor[q, i], [o, i, …]."""
    return torch.einsum("pq...,po,qi->oi...", core, out_factor, in_factor)


def _lora(own: Mapping[str, Tensor]) -> Tensor:
    return own["up"].flatten(1) @ own["down"].flatten(1)


def _loha(own: Mapping[str, Tensor]) -> Tensor:
    if "t1" in own:
        return tucker(own["t1"], own["w1_a"], own["w1_b"]) * tucker(own["t2"], own["w2_a"], own["w2_b"])
    return (own["w1_a"] @ own["w1_b"].flatten(1)) * (own["w2_a"] @ own["w2_b"].flatten(1))


def _lokr(own: Mapping[str, Tensor]) -> Tensor:
    first = own["w1"] if "w1" in own else own["w1_a"] @ own["w1_b"]
    if "w2" in own:
        second = own["w2"]
    elif "t2" in own:
        second = tucker(own["t2"], own["w2_a"], own["w2_b"])
    else:
        second = own["w2_a"] @ own["w2_b"].flatten(1)
    # w1 ⊗ w2 over outputs and inputs; the kernel stays with w2, also where its columns hold (i, k, k) flattened.
    return torch.einsum("ab,cd...->acbd...", first, second)


def _ia3(own: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    if "input" in own:
        return weight * (own["input"].reshape(1, -1, *[1] * (weight.ndim - 2)) - 1)
    return weight * (own["output"].reshape(-1, *[1] * (weight.ndim - 1)) - 1)


def _oft(own: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    blocks = own["blocks"]
    skew = blocks - blocks.transpose(-1, -2)
    # LyCORIS stores the limit per output and caps the norm over all blocks at limit · outputs; 0 is no limit.
    limit = float(own["limit"]) * weight.shape[0] if "limit" in own else 0.0
    norm = float(skew.norm())
    if 0 < limit < norm:
        skew = skew * (limit / norm)
    eye = torch.eye(blocks.shape[-1], dtype=torch.float64)
    rotation = (eye + skew) @ torch.linalg.inv(eye - skew)
    if blocks.ndim == 4:
        turned = _butterfly(rotation, weight.flatten(1)).reshape(weight.shape)
    else:
        turned = torch.einsum("nab,na...->nb...", rotation, weight.reshape(blocks.shape[0], blocks.shape[1], -1))
        turned = turned.reshape(weight.shape)
    if "rescale" in own:
        turned = turned * own["rescale"].reshape(-1, *[1] * (weight.ndim - 1))
    return turned - weight


def _butterfly(rotations: Tensor, weight: Tensor) -> Tensor:
    """Return B_m … B₁ W [o, i]. Factor f turns groups of b outputs: b/2 pairs of rows that lie 2^f · b/2 apart."""
    size = rotations.shape[-1]
    for factor, blocks in enumerate(rotations):
        reach = 2**factor * size // 2
        pairs = weight.reshape(-1, 2, reach, weight.shape[1]).transpose(1, 2)
        turned = torch.einsum("nab,nbi->nai", blocks, pairs.reshape(-1, size, weight.shape[1]))
        weight = turned.reshape(-1, reach, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
    return weight


def _glora(own: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    seen = torch.einsum("oi...,ij->oj...", weight, own["a1"] @ own["a2"])
    return seen + (own["b1"] @ own["b2"]).reshape(weight.shape)


def _with_norm(weight: Tensor, norms: Tensor, *, by_output: bool) -> Tensor:
    """Return W with the norm of every output's (or input's) entries set."""
    turned = weight if by_output else weight.transpose(0, 1)
    found = turned.flatten(1).norm(dim=1).clamp(min=1e-300)
    turned = turned * (norms / found).reshape(-1, *[1] * (weight.ndim - 1))
    return turned if by_output else turned.transpose(0, 1)


def low_rank(delta: Tensor, rank: int) -> tuple[Layer, float]:
    """Return the best LoRA of a rank for a dense delta (Eckart–Young), and ‖error‖ / ‖ΔW‖. Nothing is clipped."""
    u, s, v = torch.linalg.svd(delta.double().flatten(1), full_matrices=False)
    rank = max(1, min(rank, len(s)))
    root = s[:rank].sqrt()
    total = float(s.norm())
    error = float(s[rank:].norm()) / total if total else 0.0
    down = (root[:, None] * v[:rank]).reshape(rank, *delta.shape[1:])
    return Layer("lora", {"up": u[:, :rank] * root, "down": down}), error


def is_finite_scale(scale: float) -> bool:
    """Return whether a factor from a file can be used."""
    return math.isfinite(scale) and abs(scale) <= 1e6
