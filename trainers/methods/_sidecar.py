"""Tuner layers of our own, registered in PEFT, for methods that are not weight deltas.

A sidecar is a child module of its host that acts through the host's forward hooks. The host itself is untouched: names
of base weights never change, adapters of any methods attach in any order, and taking the sidecar off leaves the base
bit-identical. A method supplies three plain functions: fresh parameters for one host, what to change before the host
runs, and what to change after it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from peft import PeftConfig, PeftType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import register_peft_method
from torch import Tensor, nn


@dataclass(frozen=True)
class Live:
    """One active adapter on one host, as a method's functions see it."""

    parameters: nn.ParameterDict
    settings: Mapping[str, Any]
    weight: float
    training: bool


Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class SidecarKind:
    """What a method of our own does at one host."""

    name: str
    """Lower-case and unique; its upper case is the ``peft_type`` in files."""
    fresh: Callable[[nn.Module, Mapping[str, Any]], Mapping[str, Tensor]]
    """(host, settings) -> the parameters of a new adapter, by plain names."""
    before: Callable[[nn.Module, Sequence[Live], Arguments], Arguments] | None = None
    """(host, active adapters, arguments) -> arguments of the host's forward."""
    after: Callable[[nn.Module, Sequence[Live], Arguments, Any], Any] | None = None
    """(host, active adapters, arguments, output) -> output."""


@dataclass
class SidecarConfig(PeftConfig):
    """The PEFT config of every method of our own; `settings` are the method's, as plain JSON."""

    target_modules: list[str] | None = field(default=None)
    exclude_modules: list[str] | None = field(default=None)
    settings: dict[str, Any] = field(default_factory=dict)
    modules_to_save: list[str] | None = field(default=None)
    layers_to_transform: list[int] | None = field(default=None)
    layers_pattern: str | None = field(default=None)


class Sidecar(nn.Module, BaseTunerLayer):
    """All adapters of one kind on one host."""

    adapter_layer_names = ("beside",)
    other_param_names = ()

    def __init__(self, kind: SidecarKind) -> None:
        super().__init__()
        self.kind = kind
        self.beside = nn.ModuleDict()
        self.settings: dict[str, Mapping[str, Any]] = {}
        self.scaling: dict[str, float] = {}
        self._disable_adapters = False
        self.merged_adapters = []

    def add(self, adapter: str, host: nn.Module, settings: Mapping[str, Any]) -> None:
        """Give the host a fresh adapter, in float32 on the host's device."""
        like = next(host.parameters(), torch.empty(0))
        fresh = self.kind.fresh(host, settings)
        parameters = {
            name: nn.Parameter(value.to(device=like.device, dtype=torch.float32)) for name, value in fresh.items()
        }
        self.beside[adapter] = nn.ParameterDict(parameters)
        self.settings[adapter] = dict(settings)
        self.scaling[adapter] = 1.0

    def set_scale(self, adapter: str, weight: float) -> None:
        """Set an adapter's live weight."""
        if adapter in self.beside:
            self.scaling[adapter] = weight

    def delete_adapter(self, adapter_name: str) -> None:
        """Forget an adapter."""
        super().delete_adapter(adapter_name)
        self.settings.pop(adapter_name, None)
        self.scaling.pop(adapter_name, None)

    def live(self) -> list[Live]:
        """Return the adapters that act now."""
        if self._disable_adapters:
            return []
        return [
            Live(self.beside[name], self.settings[name], self.scaling[name], self.training)  # type: ignore[arg-type]
            for name in self.active_adapters
            if name in self.beside and self.scaling[name] != 0
        ]

    def __getattr__(self, name: str) -> Any:
        # PEFT looks for `weight` through `base_layer`, which a sidecar has not; nn.Module would recurse for ever.
        if name in ("weight", "bias", "base_layer"):
            raise AttributeError(name)
        return super().__getattr__(name)


class SidecarModel(BaseTuner):
    """PEFT's way in: attaches sidecars to the modules that a config targets."""

    tuner_layer_cls = Sidecar
    target_module_mapping: dict[str, list[str]] = {}
    kind: SidecarKind

    def _create_and_replace(
        self,
        peft_config: SidecarConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        child = child_name(self.kind)
        if not hasattr(target, child):
            target.add_module(child, Sidecar(self.kind))
            _hook(target, child, self.kind)
        sidecar = getattr(target, child)
        sidecar.add(adapter_name, target, peft_config.settings)
        sidecar.set_adapter([*sidecar.active_adapters, adapter_name] if len(sidecar.beside) > 1 else [adapter_name])

    def _prepare_adapter_config(self, peft_config: SidecarConfig, model_config: Any) -> SidecarConfig:
        if not peft_config.target_modules:
            raise ValueError("target_modules must be given")
        return peft_config

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        return key.replace(f".beside.{adapter_name}.", ".beside.")


def child_name(kind: SidecarKind) -> str:
    """Return the name of the sidecar below its host."""
    return f"sidecar_{kind.name}"


def unhook(host: nn.Module, kind: SidecarKind) -> None:
    """Take a sidecar and its hooks off a host."""
    for handle in host.__dict__.pop(f"_{child_name(kind)}_handles"):
        handle.remove()
    delattr(host, child_name(kind))


def register(kind: SidecarKind) -> str:
    """Make PEFT know a kind, once; return its ``peft_type``."""
    value = f"STUDIO_{kind.name.upper()}"
    if value in PEFT_TYPE_TO_CONFIG_MAPPING:
        return value
    member = str.__new__(PeftType, value)
    member._name_, member._value_ = value, value
    PeftType._member_map_[value] = member  # the enum is closed, and PEFT offers no other way in
    PeftType._value2member_map_[value] = member
    PeftType._member_names_.append(value)

    def set_type(config: SidecarConfig) -> None:
        PeftConfig.__post_init__(config)
        config.peft_type = member

    config_class = dataclass(type(f"{value}_Config", (SidecarConfig,), {"__post_init__": set_type}))
    model_class = type(f"{value}_Model", (SidecarModel,), {"kind": kind, "prefix": f"{value.lower()}_"})
    register_peft_method(name=value.lower(), config_cls=config_class, model_cls=model_class)
    return value


def _hook(host: nn.Module, child: str, kind: SidecarKind) -> None:
    handles = []
    if kind.before is not None:
        handles.append(host.register_forward_pre_hook(partial(_before, child), with_kwargs=True))
    if kind.after is not None:
        handles.append(host.register_forward_hook(partial(_after, child), with_kwargs=True))
    host.__dict__[f"_{child}_handles"] = handles


def _before(child: str, host: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
    sidecar = getattr(host, child)
    live = sidecar.live()
    return sidecar.kind.before(host, live, (args, kwargs)) if live else None


def _after(child: str, host: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    sidecar = getattr(host, child)
    live = sidecar.live()
    return sidecar.kind.after(host, live, (args, kwargs), output) if live else None
