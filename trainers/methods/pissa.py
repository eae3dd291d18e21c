"""PiSSA: a low-rank delta that begins at the weight's largest singular directions instead of at noise.

W x + s (B A − B₀ A₀) x, with B₀ = U √S / √s and A₀ = √S Vᵀ / √s of the largest r of W = U S Vᵀ. This is the paper's
W_res + s B A with W_res = W − s B₀ A₀, written so that the base is never changed; s is 1. The saved file is a plain
LoRA of rank 2 r with the exact same delta. Source: Meng et al. 2024, arXiv 2404.02948, equations 2 to 4.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from trainers.methods._hosts import features
from trainers.methods._method import Folded, Method, Recommendation, ResolveTargets
from trainers.methods._sidecar import Arguments, Live, SidecarKind, register
from trainers.methods._stock import LANGUAGE_TARGETS, UNET_TARGETS, RankSettings


class PissaSettings(RankSettings):
    """Settings of PiSSA."""

    rank: int = Field(8, ge=1, le=1024, description="Rank that is trained; the saved file has twice as much.")


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


def _config(settings: PissaSettings, resolve: ResolveTargets) -> Any:
    return register(KIND)(target_modules=list(resolve(settings.targets)), settings={"rank": settings.rank})


def _fold(config: dict[str, Any], tensors: dict[str, Tensor]) -> Folded:
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
register(KIND)

METHOD = Method(
    name="pissa",
    title="PiSSA",
    source="Meng et al. 2024, arXiv 2404.02948, eq. 2–4",
    settings=PissaSettings,
    recommended={
        "unet": Recommendation(1e-3, {"targets": UNET_TARGETS}),
        "text_encoder": Recommendation(2e-3),
        "language_model": Recommendation(2e-5, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.002),
    },
    peft_config=_config,
    mergeable=True,
    fold=_fold,
)
