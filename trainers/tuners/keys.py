"""More keys and values for an attention module to look at, with no change to the module or its kernels.

A provider gives rows [p, k] and [p, v] and the logarithm of their weight, which is added to their logits: with weight w
they count as w rows, so 1 is the plain prefix and 0 the base. On transformers they join after the positions and after
the cache, so cached decoding, left padding and beams see them like any other step; on diffusers they join behind to_k
and to_v.
"""

import copy
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.errors import UserError
from trainers.tuners.hosts import features, is_attention
from trainers.tuners.sidecar import Uninstall

_PROVIDERS = "_studio_providers"
_KERNELS = ("eager", "sdpa")


@dataclass(frozen=True)
class Rows:
    """Keys [p, k] and values [p, v] of one adapter, or [b, p, ..] with rows for every input; its weight is above 0."""

    keys: Tensor
    values: Tensor
    weight: float
    opened: Tensor | None = None
    """A factor on keys and values that every query has for itself, [b, q, 1]; only on transformers."""


Provider = Callable[[], Sequence[Rows]]


def widths(host: nn.Module) -> tuple[int, int]:
    """Return the widths k and v of a host's keys and values, all heads together.

    Raises:
        ValueError: the host is no attention module of diffusers or transformers.
    """
    if not is_attention(host):
        raise ValueError(f"{type(host).__name__} is no attention module, so it has no keys and values to go before.")
    if hasattr(host, "c_attn"):
        third = features(host.c_attn)[1] // 3
        return third, third
    key, value = (host.to_k, host.to_v) if hasattr(host, "to_k") else (host.k_proj, host.v_proj)
    return features(key)[1], features(value)[1]


def extend(host: nn.Module, provider: Provider) -> Uninstall:
    """Let an attention module see a provider's rows; return what ends it.

    Raises:
        ValueError: the host is no attention module of diffusers or transformers.
    """
    if _PROVIDERS not in host.__dict__:
        host.__dict__[_PROVIDERS] = []
        host.__dict__[f"{_PROVIDERS}_off"] = _install(host)
    host.__dict__[_PROVIDERS].append(provider)

    def uninstall() -> None:
        host.__dict__[_PROVIDERS].remove(provider)
        if not host.__dict__[_PROVIDERS]:
            host.__dict__.pop(f"{_PROVIDERS}_off")()
            del host.__dict__[_PROVIDERS]

    return uninstall


def _install(host: nn.Module) -> Uninstall:
    if hasattr(host, "to_k"):
        return _install_diffusers(host)
    registry = getattr(sys.modules[type(host).__module__], "ALL_ATTENTION_FUNCTIONS", None)
    if registry is None or not hasattr(host, "config"):
        raise ValueError(f"{type(host).__name__} is no attention module that can take more keys.")
    return _install_transformers(host, registry)


def _rows(host: nn.Module) -> list[Rows]:
    return [rows for provider in host.__dict__.get(_PROVIDERS, ()) for rows in provider() if rows.weight > 0]


def _bias(rows: Sequence[Rows], like: Tensor) -> Tensor:
    """Return the logarithms of the weights, one per row, [p]."""
    return torch.cat([like.new_full((one.keys.shape[-2],), math.log(one.weight)) for one in rows])


def _install_transformers(host: nn.Module, registry: Any) -> Uninstall:
    """Give the host a config of its own that names our kernel, which wraps the one that was named before."""
    original: Any = host.config
    kernel = original._attn_implementation
    if kernel not in _KERNELS:
        raise ValueError(f"Attention kernel {kernel!r} cannot take more keys; load the model with sdpa or eager.")
    name = f"studio_{kernel}"
    if name not in registry:
        registry.register(name, _wrapped(registry, kernel))
    own = copy.copy(original)
    own._attn_implementation_internal = name
    host.config = own

    def uninstall() -> None:
        host.config = original

    return uninstall


def _wrapped(registry: Any, kernel: str) -> Callable[..., Any]:
    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **more: Any
    ) -> Any:
        plain = registry.get_interface(kernel, sys.modules[type(module).__module__].eager_attention_forward)
        rows = _rows(module)
        if not rows:
            return plain(module, query, key, value, attention_mask, **more)
        mask = _full_mask(module, kernel, query, key, attention_mask, more)
        bias = _bias(rows, query).expand(*mask.shape[:-1], -1)
        keys = torch.cat([*(_heads(one.keys, key) for one in rows), key], dim=2)
        more["is_causal"] = False
        if all(one.opened is None for one in rows):
            values = torch.cat([*(_heads(one.values, value) for one in rows), value], dim=2)
            return plain(module, query, keys, values, torch.cat([bias, mask], dim=-1), **more)
        scale = more.get("scaling") or query.shape[-1] ** -0.5
        bias = bias + torch.cat([_logits_closed(one, query, key, scale) for one in rows], dim=-1)
        mask = torch.cat([bias, mask.expand(*bias.shape[:-1], -1)], dim=-1)
        output, weights = plain(module, query, keys, _side_by_side(rows, value), mask, **more)
        return _opened(rows, output), weights

    return attend


def _logits_closed(rows: Rows, query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Return what each query's gate G takes from its logits q · k, (G − 1) q · k, as [b, heads, q, p]."""
    keys = _heads(rows.keys, key)
    if rows.opened is None:
        return query.new_zeros(*query.shape[:-1], keys.shape[2])
    logits = scale * (query @ keys.repeat_interleave(query.shape[1] // keys.shape[1], dim=1).transpose(-1, -2))
    return (rows.opened[:, None].to(query.dtype) - 1) * logits


def _side_by_side(rows: Sequence[Rows], value: Tensor) -> Tensor:
    """Return all values, those behind a gate in columns of their own, so that they can be told apart afterwards."""
    places = [0, *_places(rows)]
    blocks = [value, *(_heads(one.values, value) for one in rows)]
    width, count = value.shape[-1], max(places) + 1
    padded = [
        functional.pad(block, (place * width, (count - 1 - place) * width))
        for block, place in zip(blocks, places, strict=True)
    ]
    return torch.cat([*padded[1:], padded[0]], dim=2)


def _places(rows: Sequence[Rows]) -> list[int]:
    """Return 0 for rows without a gate and 1, 2 … for those with one."""
    numbers = itertools.count(1)
    return [0 if one.opened is None else next(numbers) for one in rows]


def _opened(rows: Sequence[Rows], output: Tensor) -> Tensor:
    """Return the attention's output [b, q, heads, width] with every gate on its own values."""
    places = _places(rows)
    columns = output.chunk(max(places) + 1, dim=-1)
    total = columns[0]
    for one, place in zip(rows, places, strict=True):
        if one.opened is not None:
            total = total + one.opened[..., None].to(total.dtype) * columns[place]
    return total


def _heads(rows: Tensor, like: Tensor) -> Tensor:
    """Cut rows [p, heads · width] into heads like [b, heads, t, width]."""
    batch, heads, _, each = like.shape
    length = rows.shape[-2]
    cut = rows.to(like.dtype).reshape(-1, length, heads, each).transpose(1, 2)
    return cut.expand(batch, -1, -1, -1) if len(cut) == 1 else cut


def _full_mask(
    module: nn.Module, kernel: str, query: Tensor, key: Tensor, mask: Tensor | None, more: dict[str, Any]
) -> Tensor:
    """Return the additive mask [b or 1, 1, q, t] that the kernel would have used, also where it would have none."""
    q, t = query.shape[2], key.shape[2]
    if mask is None:
        causal = more.get("is_causal")
        causal = getattr(module, "is_causal", False) if causal is None else causal
        allowed = query.new_ones(q, t, dtype=torch.bool)
        # With no mask, sdpa is told to be causal by a flag; the eager kernel then is not causal at all.
        mask = (allowed.tril(t - q) if causal and q > 1 and kernel == "sdpa" else allowed)[None, None]
    if mask.dtype == torch.bool:
        mask = query.new_zeros(mask.shape).masked_fill(~mask, torch.finfo(query.dtype).min)
    return mask[..., :t]


def _install_diffusers(host: Any) -> Uninstall:
    """Hook whatever stands at to_k and to_v when the host is called, so other adapters may come and go."""
    pending: list[Any] = []

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rows = _rows(host)
        if not rows:
            return None
        if getattr(host, "fused_projections", False):
            raise UserError("Prefixes cannot act on fused projections. Call unfuse_qkv_projections() on the model.")
        pending.append(host.to_k.register_forward_hook(_prepend([one.keys for one in rows])))
        pending.append(host.to_v.register_forward_hook(_prepend([one.values for one in rows])))
        bias = _bias(rows, args[0] if args else kwargs["hidden_states"])
        if kwargs.get("attention_mask") is None and not bias.any():
            return None
        host.__dict__["prepare_attention_mask"] = _mask_with(host, bias)
        if kwargs.get("attention_mask") is None:
            kwargs = {**kwargs, "attention_mask": _no_mask(args, kwargs)}
        return args, kwargs

    def after(*_: Any) -> None:
        host.__dict__.pop("prepare_attention_mask", None)
        while pending:
            pending.pop().remove()

    handles = [
        host.register_forward_pre_hook(before, with_kwargs=True),
        host.register_forward_hook(after, always_call=True),
    ]
    return lambda: [handle.remove() for handle in handles].clear()


def _prepend(rows: Sequence[Tensor]) -> Callable[..., Tensor]:
    def hook(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        return torch.cat([*(one.to(output.dtype).expand(len(output), -1, -1) for one in rows), output], dim=1)

    return hook


def _mask_with(host: Any, bias: Tensor) -> Callable[..., Tensor]:
    def prepare(mask: Tensor, target_length: int, batch_size: int, out_dim: int = 3) -> Tensor:
        plain = type(host).prepare_attention_mask(host, mask, target_length, batch_size, out_dim)
        return torch.cat([bias.to(plain.dtype).expand(*plain.shape[:-1], -1), plain], dim=-1)

    return prepare


def _no_mask(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    hidden = args[0] if args else kwargs["hidden_states"]
    context = kwargs.get("encoder_hidden_states")
    seen = hidden if context is None else context
    length = seen.shape[1] if seen.ndim == 3 else seen.shape[2] * seen.shape[3]
    return functional.pad(hidden.new_zeros(len(seen), 1, 0), (0, length))
