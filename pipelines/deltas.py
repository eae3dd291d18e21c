"""Adapters as deltas: per layer what is added to the base's weight, whatever method, rank or alpha it came with.

Letters: r rank, i o in and out features; a convolution's down factor is [r, i, kh, kw] and its up factor [o, r, 1, 1].
A layer's weight goes by the layer's path, its bias by ``<path>.bias``. Every scale is folded in.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainers.adapter import KEY_PREFIX, AdapterPart
from trainers.errors import UserError, raise_problems

BIAS = ".bias"
WHOLE_KIND = "STUDIO_DELTA"
_WHOLE_KEY = ".sidecar_delta.beside."
_TOKENS = ("learned tokens", "Blend it with 'concatenate' or 'interpolate'.")
_NO_DELTA = {
    "STUDIO_PROMPT": _TOKENS,
    "STUDIO_PREFIX": _TOKENS,
    "STUDIO_TEXTUAL_INVERSION": ("a new word", "Words do not meet: attach both adapters, and prompts call either."),
    "STUDIO_FUSION": ("attention over other adapters", "Attach it live instead."),
}


@dataclass(frozen=True)
class LowRankDelta:
    """One layer's ΔW = up · down, in float64 so that sums of many lose nothing."""

    up: Tensor
    """[o, r], or [o, r, 1, 1]"""
    down: Tensor
    """[r, i], or [r, i, kh, kw]"""

    @property
    def rank(self) -> int:
        """The number of columns of `up`."""
        return int(self.up.shape[1])

    @property
    def shape(self) -> torch.Size:
        """The shape of ΔW."""
        return torch.Size((self.up.shape[0], *self.down.shape[1:]))

    def dense(self) -> Tensor:
        """Return ΔW [o, i] or [o, i, kh, kw]."""
        return (self.up.flatten(1) @ self.down.flatten(1)).reshape(self.shape)

    def scaled(self, factor: float) -> "LowRankDelta":
        """Return factor · ΔW."""
        return LowRankDelta(self.up, self.down * factor)


@dataclass(frozen=True)
class DenseDelta:
    """What is added to one weight or bias, entry by entry, in float64."""

    value: Tensor
    """[o, i], [o, i, kh, kw], or [o] for biases and norms"""

    @property
    def rank(self) -> int:
        """The highest rank it can have."""
        return min(self.value.shape[0], self.value[0].numel())

    @property
    def shape(self) -> torch.Size:
        """The shape of the delta."""
        return self.value.shape

    def dense(self) -> Tensor:
        """Return the delta itself."""
        return self.value

    def scaled(self, factor: float) -> "DenseDelta":
        """Return factor · Δ."""
        return DenseDelta(self.value * factor)


Delta = LowRankDelta | DenseDelta
WORDS_DOWN, WORDS_UP = ".lora_embedding_A", ".lora_embedding_B"


def kind_of(part: AdapterPart) -> str:
    """Return what a part is: PEFT's type in capitals, or DORA."""
    return "DORA" if part.config.get("use_dora") else str(part.config.get("peft_type"))


def needs_base(part: AdapterPart) -> bool:
    """Return whether a part has no delta until a base is named; see `pipelines.effective`.

    What multiplies or reads W (DoRA, OFT, IA³ …) depends on it, and LoHa and LoKr do not say the shape of their layers.
    """
    return kind_of(part) != "LORA" and not kind_of(part).startswith("STUDIO_")


def changes_words(part: AdapterPart) -> bool:
    """Return whether a part holds a LoRA of a table of words, which no file but PEFT's has as factors."""
    return any(key.endswith(WORDS_DOWN) for key in part.tensors)


def words_delta(part: AdapterPart, key: str) -> tuple[str, Tensor]:
    """Return path and ΔW = s · (B A)ᵀ [words, d], in float64, of a table of words, by the key of its A [r, words]."""
    path = key.removeprefix(KEY_PREFIX).removesuffix(WORDS_DOWN)
    down, up = part.tensors[key].double(), part.tensors[key.removesuffix(WORDS_DOWN) + WORDS_UP].double()
    return path, _scale(part.config, path, down.shape[0]) * (up @ down).T


def read_deltas(part: AdapterPart, *, what: str) -> dict[str, Delta]:
    """Return the deltas of one part of an adapter that needs no base, in float64.

    Raises:
        UserError: the part holds learned tokens or a network, which no weight can carry; or it needs a base.
    """
    kind = kind_of(part)
    if kind == "LORA":
        return dict(_lora_deltas(part, what))
    if kind == WHOLE_KIND:
        return {_address(key): DenseDelta(value.double()) for key, value in part.tensors.items()}
    if kind.startswith("STUDIO_"):
        word = kind.removeprefix("STUDIO_").lower()
        holds, advice = _NO_DELTA.get(kind, ("a small network", "Attach it live instead."))
        raise UserError(f"{what} is {word}: {holds}, not a change of weights, so no sum of deltas has it. {advice}")
    raise UserError(
        f"{what} is {kind}, whose delta is only known against a base. Name the base that it was trained on (--base)."
    )


def lora_part(deltas: Mapping[str, LowRankDelta], dtype: torch.dtype = torch.float32) -> AdapterPart:
    """Return deltas as one PEFT LoRA whose scale is 1 in every layer, so that no reader's alpha handling can matter.

    The factors are balanced (equal norms) before rounding, which keeps low precisions in range.
    """
    ranks = {path: delta.rank for path, delta in deltas.items()}
    common = max(set(ranks.values()), key=list(ranks.values()).count)
    # A pattern's key also speaks for longer paths that end in it, and the first that fits wins: all, longest first.
    uneven = len(set(ranks.values())) > 1
    pattern = {path: ranks[path] for path in sorted(ranks, key=len, reverse=True)} if uneven else {}
    tensors: dict[str, Tensor] = {}
    for path, delta in deltas.items():
        balance = math.sqrt(float(delta.down.norm()) / float(delta.up.norm()) or 1.0) if delta.up.any() else 1.0
        tensors[f"{KEY_PREFIX}{path}.lora_A.weight"] = (delta.down / balance).to(dtype)
        tensors[f"{KEY_PREFIX}{path}.lora_B.weight"] = (delta.up * balance).to(dtype)
    config = {
        "peft_type": "LORA",
        "r": common,
        "lora_alpha": common,
        "rank_pattern": pattern,
        "alpha_pattern": pattern,
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "target_modules": sorted(deltas),
    }
    return AdapterPart(config, tensors)


def whole_part(
    deltas: Mapping[str, Delta], shapes: Mapping[str, torch.Size], dtype: torch.dtype = torch.float32
) -> AdapterPart:
    """Return deltas as whole tensors: exact for every method, biases and norms, and as large as the layers.

    Args:
        shapes: address -> shape of all weights and biases of the layers in the base. A layer's tensors without a delta
            get zeros, because a reader expects all kinds that the file holds in every layer that has them.

    Raises:
        UserError: a delta belongs to a tensor that the base does not have, such as a new bias.
    """
    homeless = [address for address in deltas if address not in shapes]
    raise_problems(
        "The blend cannot be written whole, because the base lacks tensors that it changes (attach the adapter live):",
        homeless,
    )
    layers = sorted({address.removesuffix(BIAS) for address in deltas})
    biased = any(address.endswith(BIAS) for address in deltas)
    weighted = any(not address.endswith(BIAS) for address in deltas)
    tensors: dict[str, Tensor] = {}
    for path in layers:
        for address, name in ((path, "weight"), (path + BIAS, "bias")):
            if address in deltas:
                value = deltas[address].dense().to(dtype)
            elif address in shapes and (biased if name == "bias" else weighted):
                value = torch.zeros(shapes[address], dtype=dtype)
            else:
                continue
            tensors[f"{KEY_PREFIX}{path}{_WHOLE_KEY}{name}"] = value
    kinds = [name for name, held in (("weight", weighted), ("bias", biased)) if held]
    config = {"peft_type": WHOLE_KIND, "target_modules": layers, "settings": {"tensors": kinds}}
    return AdapterPart(config, tensors)


NO_WHOLE_TRANSPOSED = (
    "is stored transposed in this base, as in GPT-2, where deltas without factors are not blended. Take LoRA adapters "
    "and a blend that keeps factors (exact, svd), or weigh the attached adapters live."
)


def is_transposed(layer: nn.Module) -> bool:
    """Return whether a linear layer holds its weight as [in, out]: transformers' Conv1D, as in GPT-2."""
    return hasattr(layer, "nf") and layer._parameters.get("weight") is not None


def tensor_shapes(module: nn.Module) -> dict[str, torch.Size]:
    """Return address -> shape of every weight and bias of a bare part, the addresses that deltas go by."""
    shapes: dict[str, torch.Size] = {}
    for path, layer in module.named_modules():
        for name, value in layer._parameters.items():
            if value is not None and name in ("weight", "bias"):
                shapes[path + (BIAS if name == "bias" else "")] = value.shape
    return shapes


def _lora_deltas(part: AdapterPart, what: str) -> Mapping[str, Delta]:
    deltas: dict[str, Delta] = {}
    for key, down in part.tensors.items():
        if key.endswith(WORDS_DOWN):
            path, change = words_delta(part, key)
            deltas[path] = DenseDelta(change)
            continue
        path, found, rest = key.removeprefix(KEY_PREFIX).partition(".lora_A.")
        if not found or rest != "weight":
            continue
        up = part.tensors[key.replace(".lora_A.", ".lora_B.")]
        deltas[path] = LowRankDelta(up.double(), down.double() * _scale(part.config, path, down.shape[0]))
    factors = (".lora_A.weight", ".lora_B.weight", WORDS_DOWN, WORDS_UP)
    others = [key for key in part.tensors if not key.endswith(factors)]
    if others:
        raise UserError(f"{what} holds tensors that are not LoRA factors, for example {others[0]}.")
    return deltas


def _address(key: str) -> str:
    path, _, name = key.removeprefix(KEY_PREFIX).partition(_WHOLE_KEY)
    return path + BIAS if name == "bias" else path


def _scale(config: Mapping[str, Any], path: str, rank: int) -> float:
    """Return what PEFT multiplies B·A by on one layer: alpha / rank, or alpha / √rank."""
    alpha = float(_by_pattern(config.get("alpha_pattern"), path, config.get("lora_alpha", rank)))
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _by_pattern(pattern: Mapping[str, Any] | None, path: str, default: Any) -> Any:
    """Look a layer up as PEFT does: the first key that, as an expression, is the path or its end after a dot.

    Checked keys are plain names, so the only thing that can match more than itself is the dot.
    """
    for key, value in (pattern or {}).items():
        if re.match(rf"(.*\.)?({key})$", path):
            return value
    return default
