"""Adapters as deltas: per layer a low-rank ΔW with every scale folded in, whatever rank, alpha or naming it came with.

Letters: r rank, i o in and out features; a convolution's down factor is [r, i, kh, kw] and its up factor [o, r, 1, 1].
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.adapter import KEY_PREFIX, AdapterPart
from trainers.errors import UserError


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

    def dense(self) -> Tensor:
        """Return ΔW [o, i] or [o, i, kh, kw]."""
        product = self.up.flatten(1) @ self.down.flatten(1)
        return product.reshape(self.up.shape[0], *self.down.shape[1:])


def read_deltas(part: AdapterPart, *, what: str) -> dict[str, LowRankDelta]:
    """Return the deltas of one part of an adapter by module path, in float64.

    Raises:
        UserError: the part is not a plain LoRA.
    """
    if part.config.get("peft_type") != "LORA" or part.config.get("use_dora"):
        kind = "DoRA" if part.config.get("use_dora") else part.config.get("peft_type")
        raise UserError(f"{what} is {kind}, which has no low-rank delta of its own; only LoRA can be blended exactly.")
    deltas: dict[str, LowRankDelta] = {}
    for key, down in part.tensors.items():
        path, found, rest = key.removeprefix(KEY_PREFIX).partition(".lora_A.")
        if not found or rest != "weight":
            continue
        up = part.tensors[key.replace(".lora_A.", ".lora_B.")]
        deltas[path] = LowRankDelta(up.double(), down.double() * _scale(part.config, path, down.shape[0]))
    others = [key for key in part.tensors if not key.endswith((".lora_A.weight", ".lora_B.weight"))]
    if others:
        raise UserError(f"{what} holds tensors that are not LoRA factors, for example {others[0]}.")
    return deltas


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
