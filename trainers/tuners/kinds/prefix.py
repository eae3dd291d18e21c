"""Learned keys and values in front of every attention module's own; what prefix methods share.

K ← [P_k; K], V ← [P_v; V]. While it learns, a prefix may be what a small network makes of a smaller one:
[P_k, P_v] = W₂ tanh(W₁ P + b₁) + b₂; that network is folded away when the adapter is saved.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.method import Folded
from trainers.tuners.keys import Rows, extend, widths
from trainers.tuners.sidecar import Live, Sidecar, SidecarKind, Uninstall


def fresh_prefix(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a prefix's parameters: key and value rows, or the network that makes them."""
    k, v = widths(host)
    length, hidden = settings["length"], settings.get("hidden", 0)
    if not hidden:
        return {"key": 0.02 * torch.randn(length, k), "value": 0.02 * torch.randn(length, v)}
    scale = hidden**-0.5
    return {
        "start": torch.randn(length, hidden),
        "first": scale * torch.randn(hidden, hidden),
        "first_bias": torch.zeros(hidden),
        "to_key": 0.02 * scale * torch.randn(k, hidden),
        "to_key_bias": torch.zeros(k),
        "to_value": 0.02 * scale * torch.randn(v, hidden),
        "to_value_bias": torch.zeros(v),
    }


def prefix_rows(own: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return keys [p, k] and values [p, v] from a prefix's parameters."""
    if "key" in own:
        return own["key"], own["value"]
    inner = torch.tanh(functional.linear(own["start"], own["first"], own["first_bias"]))
    keys = functional.linear(inner, own["to_key"], own["to_key_bias"])
    return keys, functional.linear(inner, own["to_value"], own["to_value_bias"])


def install_prefix(host: nn.Module, sidecar: Sidecar) -> Uninstall:
    """Show a host the prefixes of its active adapters."""
    return extend(host, provider(sidecar))


def provider(sidecar: Sidecar) -> Callable[[], list[Rows]]:
    """Return what gives the rows of a sidecar's active adapters."""

    def rows() -> list[Rows]:
        return [_weighed(live) for live in sidecar.live()]

    return rows


def fold_prefix(config: dict[str, Any], tensors: dict[str, Tensor]) -> Folded:
    """Replace every network by the rows that it makes."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        host, _, name = key.rpartition(".")
        groups.setdefault(host, {})[name] = tensor
    folded: dict[str, Tensor] = {}
    for host, own in groups.items():
        if "start" in own:
            keys, values = prefix_rows(own)
            own = {"key": keys.contiguous(), "value": values.contiguous()} | {
                name: value for name, value in own.items() if name not in NETWORK
            }
        folded |= {f"{host}.{name}": value for name, value in own.items()}
    return {**config, "settings": {**config["settings"], "hidden": 0}}, folded


def _weighed(live: Live) -> Rows:
    keys, values = prefix_rows(live.parameters)
    return Rows(keys, values, live.weight)


NETWORK = ("start", "first", "first_bias", "to_key", "to_key_bias", "to_value", "to_value_bias")
KIND = SidecarKind("prefix", fresh_prefix, install=install_prefix)
