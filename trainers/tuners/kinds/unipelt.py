"""The tuner layer of UniPELT: a LoRA, a prefix and a bottleneck, each behind a gate that the input opens."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.tuners.hosts import features, first, hidden_input, is_attention, width, with_first
from trainers.tuners.keys import Rows, extend
from trainers.tuners.kinds.bottleneck import branch, fresh_branch
from trainers.tuners.kinds.prefix import fresh_prefix
from trainers.tuners.sidecar import Live, Sidecar, SidecarKind, Uninstall


def gate(live: Live, name: str, h: Tensor) -> Tensor:
    """Return the gates of a batch of hidden states [b, t, d]: σ(w · h + b) as [b, t, 1], or its mean as [b, 1, 1]."""
    own = live.parameters
    logits = functional.linear(h.to(own[f"{name}_gate"].dtype), own[f"{name}_gate"], own[f"{name}_gate_bias"])
    opened = torch.sigmoid(logits)
    return opened if _by_token(live.settings) else opened.mean(dim=1, keepdim=True)


def _by_token(settings: Mapping[str, Any]) -> bool:
    return settings.get("gate") == "token"


def _projections(host: Any) -> dict[str, tuple[Any, int, int]]:
    """Return a host's query and value projections: the layer, and the columns of its output before and behind them."""
    if hasattr(host, "c_attn"):  # GPT-2 makes queries, keys and values in one layer, in this order
        d = features(host.c_attn)[1] // 3
        return {"query": (host.c_attn, 0, 2 * d), "value": (host.c_attn, 2 * d, 0)}
    query, value = (host.to_q, host.to_v) if hasattr(host, "to_q") else (host.q_proj, host.v_proj)
    return {"query": (query, 0, 0), "value": (value, 0, 0)}


def _check_gate(host: nn.Module, settings: Mapping[str, Any]) -> None:
    if hasattr(host, "to_q") and _by_token(settings):
        raise ValueError("The gate 'token' is for language models and text encoders; a UNet takes 'mean'.")
    if hasattr(host, "layer_idx") and not _by_token(settings):  # only a layer with a cache knows its number
        raise ValueError("The gate 'mean' would show a language model the tokens to come; it takes 'token'.")


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    d = width(host)
    _check_gate(host, settings)
    if not is_attention(host):
        return {**fresh_branch(d, settings), **_fresh_gate("adapter", d)}
    own = {**fresh_prefix(host, {"length": settings["length"]}), **_fresh_gate("prefix", d), **_fresh_gate("lora", d)}
    for name, (layer, before, behind) in _projections(host).items():
        inputs, outputs = features(layer)
        own[f"{name}_down"] = torch.randn(settings["rank"], inputs) / inputs**0.5
        own[f"{name}_up"] = torch.zeros(outputs - before - behind, settings["rank"])
    return own


def _fresh_gate(name: str, d: int) -> dict[str, Tensor]:
    return {f"{name}_gate": 0.02 * torch.randn(1, d), f"{name}_gate_bias": torch.zeros(1)}


def _install(host: nn.Module, sidecar: Sidecar) -> Uninstall:
    if is_attention(host):
        return _install_attention(host, sidecar)
    return host.register_forward_hook(_behind(sidecar)).remove


def _behind(sidecar: Sidecar) -> Callable[..., Any]:
    def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        found = first(output)
        total = found
        for live in sidecar.live():
            opened = gate(live, "adapter", found)
            total = total + (live.weight * opened * branch(live.parameters, found, live.settings)).to(found.dtype)
        return with_first(output, total)

    return after


def _install_attention(host: nn.Module, sidecar: Sidecar) -> Uninstall:
    hidden: list[Tensor] = []  # what the host was called with, while it runs
    pending: list[Any] = []

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden.append(hidden_input(args, kwargs))
        live = sidecar.live()
        for name, (layer, *sides) in _projections(host).items() if live else ():
            pending.append(layer.register_forward_hook(_add_lora(live, name, hidden[-1], sides)))

    def after(*_: Any) -> None:
        hidden.clear()
        while pending:
            pending.pop().remove()

    def rows() -> list[Rows]:
        return [_gated_rows(live, hidden[-1]) for live in sidecar.live()]

    # The gates need the input before the rows are asked for, whoever asks first.
    first_hook = host.register_forward_pre_hook(before, prepend=True, with_kwargs=True)
    last_hook = host.register_forward_hook(after, always_call=True)
    stop = extend(host, rows)

    def uninstall() -> None:
        stop()
        first_hook.remove()
        last_hook.remove()

    return uninstall


def _gated_rows(live: Live, h: Tensor) -> Rows:
    opened, keys, values = gate(live, "prefix", h), live.parameters["key"], live.parameters["value"]
    if _by_token(live.settings):
        return Rows(keys, values, live.weight, opened)
    return Rows(opened * keys, opened * values, live.weight)


def _add_lora(live: list[Live], name: str, h: Tensor, sides: list[int]) -> Callable[..., Tensor]:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for adapter in live:
            own = adapter.parameters
            x = inputs[0].to(own[f"{name}_down"].dtype)
            change = functional.linear(functional.linear(x, own[f"{name}_down"]), own[f"{name}_up"])
            change = functional.pad(adapter.weight * gate(adapter, "lora", h) * change, sides)
            output = output + change.to(output.dtype)
        return output

    return hook


KIND = SidecarKind("unipelt", _fresh, install=_install)
