"""Tuner layers of our own, registered in PEFT, for methods that PEFT lacks.

A sidecar is a child module of its host that acts through the host's hooks. The host itself is untouched: names of base
weights never change, adapters of any methods attach in any order, and taking the sidecar off leaves the base
bit-identical. A method supplies plain functions: fresh parameters for one host, what to change before the host runs,
and what to change after it; or, where a host's own hooks are not enough, a function that installs others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from peft import PeftConfig, PeftType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import register_peft_method
from torch import Tensor, nn

ROOT = "root"
"""The target that stands for the part itself."""
PLACE = "place"
"""The setting under which a fresh adapter finds its host's path in the bare part."""
Uninstall = Callable[[], None]


@dataclass(frozen=True)
class Live:
    """One active adapter on one host, as a method's functions see it."""

    parameters: Mapping[str, Tensor]
    settings: Mapping[str, Any]
    weight: float
    training: bool


Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class SidecarKind:
    """What a method of our own does at one host."""

    name: str
    """Lower-case and unique; ``STUDIO_`` and its upper case is the ``peft_type`` in files."""
    fresh: Callable[[nn.Module, Mapping[str, Any]], Mapping[str, Tensor]]
    """(host, settings) -> the parameters of a new adapter, by plain names.

    Raises ValueError with a sentence where the host cannot carry the method.
    """
    before: Callable[[nn.Module, Sequence[Live], Arguments], Arguments] | None = None
    """(host, active adapters, arguments) -> arguments of the host's forward."""
    after: Callable[[nn.Module, Sequence[Live], Arguments, Any], Any] | None = None
    """(host, active adapters, arguments, output) -> output."""
    install: "Callable[[nn.Module, Sidecar], Uninstall] | None" = None
    """(host, sidecar) -> what takes it off again; for effects inside the host."""
    frozen: Callable[[str], bool] = lambda name: False
    """Which of its parameters are kept but never trained."""
    change: Callable[[nn.Module, Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None
    """(host, parameters of an adapter) -> the delta of the host's own parameters by name, where that is all it does."""


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
        self.silent: frozenset[str] = frozenset()
        self.uninstall: Uninstall = lambda: None
        self._disable_adapters = False
        self.merged_adapters: list[str] = []

    def add(self, adapter: str, host: nn.Module, settings: Mapping[str, Any]) -> None:
        """Give the host a fresh adapter, in float32 on the host's device."""
        like = next(host.parameters(), torch.empty(0))
        with torch.no_grad():
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

    def set_adapter(self, adapter_names: str | list[str], inference_mode: bool = False) -> None:
        """Make adapters active and trainable, but for what its kind keeps frozen."""
        super().set_adapter(adapter_names, inference_mode)
        for parameters in self.beside.values():
            for name, parameter in parameters.items():
                if self.kind.frozen(name):
                    parameter.requires_grad_(False)

    def delete_adapter(self, adapter_name: str) -> None:
        """Forget an adapter."""
        super().delete_adapter(adapter_name)
        self.settings.pop(adapter_name, None)
        self.scaling.pop(adapter_name, None)
        self.silent -= {adapter_name}

    def live(self) -> list[Live]:
        """Return the adapters that act now."""
        return list(self.live_by_name().values())

    def live_by_name(self) -> dict[str, Live]:
        """Return the adapters that act now, by name."""
        if self._disable_adapters:
            return {}
        return {
            name: Live(dict(self.beside[name].items()), self.settings[name], self.scaling[name], self.training)
            for name in self.active_adapters
            if name in self.beside and self.scaling[name] != 0 and name not in self.silent
        }

    def __getattr__(self, name: str) -> Any:
        # PEFT looks for `weight` through `base_layer`, which a sidecar has not; nn.Module would recurse for ever.
        if name in ("weight", "bias", "base_layer"):
            raise AttributeError(name)
        return super().__getattr__(name)


class SidecarModel(BaseTuner):
    """PEFT's way in: attaches sidecars to the modules that a config targets."""

    tuner_layer_cls = Sidecar
    target_module_mapping: ClassVar[dict[str, list[str]]] = {}
    kind: SidecarKind

    def inject_adapter(self, model: nn.Module, adapter_name: str, *_: Any, **__: Any) -> None:
        """Attach to every target. PEFT's own way skips the root, and stops at layers that another tuner has wrapped.

        Raises:
            ValueError: no module matches.
        """
        config = self.peft_config[adapter_name]
        hosts = find_hosts(model, config.target_modules or ())
        if not hosts:
            raise ValueError(f"Target modules {config.target_modules} not found in the base model.")
        for parameter in _base_parameters(model):
            parameter.requires_grad = False
        for path, host in hosts.items():
            self.targeted_module_names.append(path or ROOT)
            self._create_and_replace(config, adapter_name, host, path, host, path)

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
        settings = {**peft_config.settings, PLACE: current_key}
        if not hasattr(target, child):
            sidecar = Sidecar(self.kind)
            sidecar.add(adapter_name, target, settings)
            target.add_module(child, sidecar)
            install = self.kind.install or partial(_hook, child=child)
            sidecar.uninstall = install(target, sidecar)
        else:
            sidecar = getattr(target, child)
            sidecar.add(adapter_name, target, settings)
        sidecar.set_adapter([*(name for name in sidecar.active_adapters if name in sidecar.beside), adapter_name])

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        return key.replace(f".beside.{adapter_name}.", ".beside.")


def find_hosts(model: nn.Module, targets: Sequence[str]) -> dict[str, nn.Module]:
    """Return the base's own modules by path, in order, that a list of names or the word ``root`` calls.

    A name calls the module of that path and all whose path ends in it after a dot. Other tuners' layers are seen
    through: the module below them is the host, under the path that it has in the bare base.
    """
    names = set(targets)
    endings = tuple(f".{name}" for name in targets)
    hosts: dict[str, nn.Module] = {"": model} if ROOT in names else {}
    inside: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if not path or path.startswith(inside or "\0"):
            continue
        if isinstance(module, Sidecar):
            inside = (*inside, f"{path}.")
            continue
        if isinstance(module, BaseTunerLayer):
            inside = (*inside, f"{path}.")
            module = module.get_base_layer()
        if path in names or path.endswith(endings):
            hosts[path] = module
    return hosts


def child_name(kind: SidecarKind) -> str:
    """Return the name of the sidecar below its host."""
    return f"sidecar_{kind.name}"


def unhook(host: nn.Module, sidecar: Sidecar) -> None:
    """Take a sidecar and its hooks off a host."""
    sidecar.uninstall()
    delattr(host, child_name(sidecar.kind))


def register(kind: SidecarKind) -> type[SidecarConfig]:
    """Make PEFT know a kind, once; return its config class."""
    value = f"STUDIO_{kind.name.upper()}"
    known: dict[Any, Any] = PEFT_TYPE_TO_CONFIG_MAPPING
    if value in known:
        return known[value]
    member = str.__new__(PeftType, value)
    member._name_, member._value_ = value, value
    # The enum is closed, and PEFT offers no other way in. Before Python 3.12 a member is looked up in the map, since
    # then it is an ordinary attribute of the class.
    type.__setattr__(PeftType, value, member)
    PeftType._member_map_[value] = member
    PeftType._value2member_map_[value] = member
    PeftType._member_names_.append(value)

    def set_type(config: SidecarConfig) -> None:
        PeftConfig.__post_init__(config)
        config.peft_type = member

    config_class: type[SidecarConfig] = dataclass(
        type(f"{value}_Config", (SidecarConfig,), {"__post_init__": set_type})
    )
    model_class = type(f"{value}_Model", (SidecarModel,), {"kind": kind, "prefix": f"{value.lower()}_"})
    register_peft_method(name=value.lower(), config_cls=config_class, model_cls=model_class)
    return config_class


def _base_parameters(model: nn.Module) -> list[nn.Parameter]:
    kept = {
        id(parameter)
        for layer in model.modules()
        if isinstance(layer, BaseTunerLayer)
        for group in layer.adapter_layer_names
        for parameter in getattr(layer, group).parameters()
    }
    return [parameter for parameter in model.parameters() if id(parameter) not in kept]


def _hook(host: nn.Module, sidecar: Sidecar, *, child: str) -> Uninstall:
    handles = []
    if sidecar.kind.before is not None:
        handles.append(host.register_forward_pre_hook(partial(_before, child), with_kwargs=True))
    if sidecar.kind.after is not None:
        handles.append(host.register_forward_hook(partial(_after, child), with_kwargs=True))

    def remove() -> None:
        for handle in handles:
            handle.remove()

    return remove


def _before(child: str, host: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
    sidecar = getattr(host, child)
    live = sidecar.live()
    return sidecar.kind.before(host, live, (args, kwargs)) if live else None


def _after(child: str, host: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    sidecar = getattr(host, child)
    live = sidecar.live()
    return sidecar.kind.after(host, live, (args, kwargs), output) if live else None
