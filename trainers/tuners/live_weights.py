"""Live weights of several adapters on one layer, whatever their methods make of a scale.

Additive tuners (LoRA and its plain cousins) are weighed by PEFT's own scale. Others have no scale, or one that means
something else: a rotation by half is not half a rotation. Their layer gives

    base(x) + Σ wᵢ · (adaptedᵢ(x) − base(x))

where adaptedᵢ is the layer with adapter i alone. One such adapter alone at weight 1 runs as PEFT wrote it.

The scale at weight 1 is the one that the layer was built with, kept when the adapter is attached: PEFT's own
`set_scale` works it out anew as alpha / rank, and AdaLoRA's layer divides by the rank a second time.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from peft.tuners.adalora.layer import AdaLoraLayer
from peft.tuners.loha.layer import LoHaLayer
from peft.tuners.lokr.layer import LoKrLayer
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from trainers.tuners.sidecar import Sidecar

_FULL = "scales_at_weight_1"


def remember_scale(layer: Any, name: str) -> None:
    """Keep the scale that a layer was built with for a fresh adapter, where a weight multiplies one."""
    if is_additive(layer, name):
        layer.__dict__.setdefault(_FULL, {})[name] = layer.scaling[name]


def forget_scale(layer: Any, name: str) -> None:
    """Forget the scale of an adapter that is taken off a layer."""
    layer.__dict__.get(_FULL, {}).pop(name, None)


def weigh(module: nn.Module, weights: Mapping[str, float]) -> None:
    """Set the weight of every adapter on a module; those not named are off. No weight is 0."""
    layers = [layer for layer in module.modules() if isinstance(layer, BaseTunerLayer)]
    for layer in layers:
        held = [name for name in weights if name in _adapters(layer)]
        layer.set_adapter(held)
        layer._disable_adapters = not held  # some tuners compute an identity even with nothing active
        if isinstance(layer.__dict__.get("forward"), _Mixed):  # also of a layer that has been wrapped since
            del layer.__dict__["forward"]
        for name in held:
            if isinstance(layer, Sidecar):
                layer.set_scale(name, weights[name])
            elif is_additive(layer, name):
                layer.scaling[name] = weights[name] * layer.__dict__[_FULL][name]
    inner = {id(layer.base_layer) for layer in layers if not isinstance(layer, Sidecar)}
    for layer in layers:
        if not isinstance(layer, Sidecar) and id(layer) not in inner:
            _mix(layer, weights)


def weighs_rows(module: nn.Module, names: Collection[str]) -> bool:
    """Return whether adapters add plain deltas of linear layers, which a scale [b, 1, 1] weighs row by row."""
    return all(
        isinstance(layer, LoraLayer)
        and is_additive(layer, name)
        and not isinstance(layer.get_base_layer(), nn.Embedding)
        for layer in module.modules()
        if isinstance(layer, BaseTunerLayer)
        for name in names
        if name in _adapters(layer)
    )


def weigh_rows(module: nn.Module, rows: Mapping[str, Sequence[float]]) -> None:
    """Give active adapters, all such as `weighs_rows` allows, a weight for every row of a batch; `weigh` ends it."""
    for layer in module.modules():
        if isinstance(layer, LoraLayer):
            for name in rows.keys() & _adapters(layer):
                down = layer.lora_A[name]
                own = down if isinstance(down, nn.Parameter) else down.weight
                weights = torch.tensor(rows[name], dtype=own.dtype, device=own.device)[:, None, None]
                layer.scaling[name] = weights * layer.__dict__[_FULL][name]


@contextlib.contextmanager
def at_weight_1(layer: Any, name: str) -> Iterator[None]:
    """Give one adapter on one of PEFT's layers the weight 1 for the length of a block, and then its own again."""
    if not is_additive(layer, name):
        yield
        return
    before = layer.scaling[name]
    layer.scaling[name] = layer.__dict__[_FULL][name]
    try:
        yield
    finally:
        layer.scaling[name] = before


def without_adapters(module: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Let the base alone act for the length of a block; what was on comes back as it was."""
    return only_adapters(module, ())


@contextlib.contextmanager
def only_adapters(module: nn.Module, names: Collection[str]) -> Iterator[None]:
    """Let some adapters alone act, at weight 1, for the length of a block; what was on comes back as it was.

    Adapters that are attached inside the block are off after it.
    """
    before = {id(layer): _Standing(layer) for layer in module.modules() if isinstance(layer, BaseTunerLayer)}
    weigh(module, dict.fromkeys(names, 1.0))
    try:
        yield
    finally:
        weigh(module, {})
        for layer in module.modules():
            if id(layer) in before:
                before[id(layer)].restore()


class _Standing:
    """How a layer's adapters stand: which act, at what scale, and which parameters are trained."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer  # held, so that no other layer takes its id
        self.acting = list(layer.active_adapters), layer.disable_adapters
        scaling = getattr(layer, "scaling", None)
        self.scaling = dict(scaling) if isinstance(scaling, dict) else {}
        self.trained = [(parameter, parameter.requires_grad) for parameter in _parameters(layer)]
        self.forward = layer.__dict__.get("forward")

    def restore(self) -> None:
        layer = self.layer
        layer._active_adapter, layer._disable_adapters = list(self.acting[0]), self.acting[1]
        for name, scale in self.scaling.items():
            layer.scaling[name] = scale
        for parameter, trained in self.trained:
            parameter.requires_grad_(trained)
        if self.forward is not None:
            layer.__dict__["forward"] = self.forward


def _parameters(layer: Any) -> Iterator[nn.Parameter]:
    for group in layer.adapter_layer_names:
        yield from getattr(layer, group).parameters()


class _Mixed:
    """The forward of a layer whose adapters must be told apart."""

    def __init__(self, outer: Any, chain: Sequence[Any], shares: Mapping[str, float]) -> None:
        self.outer, self.chain, self.shares = outer, chain, shares

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        base = self.outer.get_base_layer()
        sidecars = [child for child in base.children() if isinstance(child, Sidecar)]
        output = base(*args, **kwargs)
        beside = any(sidecar.live() for sidecar in sidecars)
        with _silenced(sidecars):
            plain = base(*args, **kwargs) if beside else output
            for name, share in self.shares.items():
                with _alone(self.chain, name):
                    adapted = type(self.outer).forward(self.outer, *args, **kwargs)
                output = output + share * (adapted - plain)
        return output


def _mix(outer: Any, weights: Mapping[str, float]) -> None:
    """Give the outermost layer of a chain its own forward, or one that keeps the adapters apart where they must be."""
    chain = list(_chain(outer))
    active = [(layer, name) for layer in chain for name in layer.active_adapters if name in _adapters(layer)]
    shares = {name: 1.0 if is_additive(layer, name) else weights[name] for layer, name in active}
    if all(is_additive(layer, name) for layer, name in active):
        return
    beside = any(isinstance(child, Sidecar) and child.live() for child in outer.get_base_layer().children())
    if len(active) > 1 or beside or set(shares.values()) != {1.0}:
        outer.__dict__["forward"] = _Mixed(outer, chain, shares)


def _chain(layer: Any) -> Iterator[Any]:
    while isinstance(layer, BaseTunerLayer):
        yield layer
        layer = layer.base_layer


@contextlib.contextmanager
def _alone(chain: Sequence[Any], name: str) -> Iterator[None]:
    """Let one adapter of a chain act. The flags are set directly: PEFT's own switches also touch gradients."""
    before = [(layer._active_adapter, layer._disable_adapters) for layer in chain]
    for layer in chain:
        holds = name in _adapters(layer)
        layer._active_adapter, layer._disable_adapters = [name] if holds else [], not holds
    try:
        yield
    finally:
        for layer, (active, disabled) in zip(chain, before, strict=True):
            layer._active_adapter, layer._disable_adapters = active, disabled


@contextlib.contextmanager
def _silenced(sidecars: Sequence[Sidecar]) -> Iterator[None]:
    before = [sidecar._disable_adapters for sidecar in sidecars]
    for sidecar in sidecars:
        sidecar._disable_adapters = True
    try:
        yield
    finally:
        for sidecar, disabled in zip(sidecars, before, strict=True):
            sidecar._disable_adapters = disabled


def is_additive(layer: Any, name: str) -> bool:
    """Return whether PEFT's scale multiplies a delta that is added to the base's output."""
    if isinstance(layer, LoraLayer | AdaLoraLayer):
        return name not in layer.lora_variant  # DoRA and other variants scale inside a norm
    return isinstance(layer, LoHaLayer | LoKrLayer)


def _adapters(layer: Any) -> set[str]:
    return {name for group in layer.adapter_layer_names for name in getattr(layer, group)}
