"""The tuner layer of PiSSA: s (B A − B₀ A₀) x, begun at the weight's largest singular directions."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.method import Folded
from trainers.tuners.hosts import features
from trainers.tuners.sidecar import Arguments, Live, SidecarKind


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    weight = host._parameters.get("weight")
    if weight is None or weight.ndim != 2:
        raise ValueError(f"PiSSA needs linear layers, not {type(host).__name__}.")
    rank = min(settings["rank"], *weight.shape)
    u, s, v = torch.linalg.svd(weight.detach().double().cpu(), full_matrices=False)
    root = s[:rank].sqrt()
    left, right = u[:, :rank] * root, root[:, None] * v[:rank]
    # A transposed layer (GPT-2) holds W as [in, out].
    up, down = (right.T, left.T) if features(host) == tuple(weight.shape) and hasattr(host, "nf") else (left, right)
    up, down = up.float().contiguous(), down.float().contiguous()
    return {"down": down, "up": up, "start_down": down.clone(), "start_up": up.clone()}


def _after(host: nn.Module, live: Sequence[Live], arguments: Arguments, output: Any) -> Any:
    x = arguments[0][0]
    for adapter in live:
        own = adapter.parameters
        wide = x.to(own["down"].dtype)
        change = functional.linear(functional.linear(wide, own["down"]), own["up"])
        start = functional.linear(functional.linear(wide, own["start_down"]), own["start_up"])
        output = output + (adapter.weight * (change - start)).to(output.dtype)
    return output


def _change(host: nn.Module, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    delta = own["up"].double() @ own["down"].double() - own["start_up"].double() @ own["start_down"].double()
    return {"weight": delta.T if hasattr(host, "nf") else delta}


def fold(config: dict[str, Any], tensors: dict[str, Tensor]) -> Folded:
    """Write s (B A − B₀ A₀) as one LoRA: the factors side by side, scale 1."""
    folded: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for key in tensors:
        path, found, name = key.partition(f".sidecar_{KIND.name}.beside.")
        if not found or name != "down":
            continue
        own = {part: tensors[f"{path}{found}{part}"] for part in ("down", "up", "start_down", "start_up")}
        folded[f"{path}.lora_A.weight"] = torch.cat([own["down"], own["start_down"]])
        folded[f"{path}.lora_B.weight"] = torch.cat([own["up"], -own["start_up"]], dim=1)
        ranks[path.removeprefix("base_model.model.")] = 2 * own["down"].shape[0]
    common = max(set(ranks.values()), key=list(ranks.values()).count)
    pattern = {path: rank for path, rank in ranks.items() if rank != common}
    return {
        "peft_type": "LORA",
        "r": common,
        "lora_alpha": common,
        "rank_pattern": pattern,
        "alpha_pattern": pattern,
        "target_modules": sorted(ranks),
        "bias": "none",
    }, folded


KIND = SidecarKind("pissa", _fresh, after=_after, frozen=lambda name: name.startswith("start_"), change=_change)
