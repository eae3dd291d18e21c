"""The tuner layer of AdapterFusion: an attention over what several frozen bottleneck adapters add to their host."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.adapter import KEY_PREFIX, AdapterPart, read_adapter
from trainers.errors import UserError, raise_problems
from trainers.method import Course, Fresh, ResolveTargets
from trainers.paths import path_of
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.hosts import first, hidden_input, width, with_first
from trainers.tuners.kinds.bottleneck import KIND as BOTTLENECK
from trainers.tuners.kinds.bottleneck import branch, check_branch
from trainers.tuners.sidecar import PLACE, Arguments, Live, SidecarKind, register

_TENSORS = ("down", "down_bias", "up", "up_bias")


@dataclass(frozen=True)
class _Source:
    """One adapter to fuse, as far as it belongs to the trained part."""

    name: str
    settings: Mapping[str, Any]
    hosts: Mapping[str, Mapping[str, Tensor]]
    """A branch's parameters by the path of the module that it sits on."""


def config(settings: Any, resolve: ResolveTargets) -> Any:
    """Return the PEFT config that fuses the adapters of some settings."""
    sources = _read(settings, resolve)
    kept: dict[str, Any] = {"adapters": [source.name for source in sources]}
    for number, source in enumerate(sources):
        kept |= {
            f"size_{number}": source.settings["size"],
            f"activation_{number}": source.settings["activation"],
            f"scale_{number}": source.settings["scale"],
            f"parallel_{number}": bool(source.settings.get("parallel")),
            f"hosts_{number}": sorted(source.hosts),
        }
    hosts = [
        path for path in resolve(("attention_block", "feed_forward_block")) if any(path in s.hosts for s in sources)
    ]
    return register(KIND)(target_modules=hosts, settings=kept)


def _read(settings: Any, resolve: ResolveTargets) -> list[_Source]:
    """Read the adapters to fuse; only those parts of them that sit on the trained part."""
    if len(settings.adapters) < 2:
        raise UserError(
            f"AdapterFusion fuses two or more trained adapters, not {len(settings.adapters)}. Name them, as in: "
            "--setting adapters=first+second. They can be of the methods houlsby, pfeiffer and parallel_adapter."
        )
    known = set(resolve(("attention_block", "feed_forward_block")))
    sources: list[_Source] = []
    problems: list[str] = []
    for folder in settings.adapters:
        try:
            sources.append(_source(path_of(folder), known))
        except UserError as error:
            problems.append(str(error))
    raise_problems("The adapters cannot be fused:", problems)
    return sources


def _source(folder: Path, known: set[str]) -> _Source:
    adapter = read_adapter(folder)
    fitting: list[_Source] = []
    for part in adapter.parts.values():
        hosts = _branches(part)
        if hosts and hosts.keys() <= known:
            fitting.append(_Source(adapter.card.name, part.config["settings"], hosts))
    # A second text encoder has all the paths of a shorter first one, so the part with the most layers is meant.
    most = max((len(source.hosts) for source in fitting), default=0)
    fitting = [source for source in fitting if len(source.hosts) == most]
    if len(fitting) != 1:
        methods = ", ".join(f"{part} ({card.method})" for part, card in adapter.card.parts.items())
        raise UserError(
            f"{adapter.card.name!r} has {len(fitting)} parts of bottleneck adapters on the trained layers, and needs "
            f"one. Its parts: {methods}. Fused can be houlsby, pfeiffer and parallel_adapter."
        )
    check_branch(fitting[0].settings)
    return fitting[0]


def _branches(part: AdapterPart) -> dict[str, dict[str, Tensor]]:
    """Return the parameters of a bottleneck adapter's branches by host; empty for every other method."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in part.tensors.items():
        host, inside, name = key.removeprefix(KEY_PREFIX).partition(f".sidecar_{BOTTLENECK.name}.beside.")
        if not inside or name not in _TENSORS:
            return {}
        found.setdefault(host, {})[name] = tensor
    return found


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    d = width(host)
    numbers = [number for number in range(len(settings["adapters"])) if settings[PLACE] in settings[f"hosts_{number}"]]
    if not numbers:
        raise ValueError(f"None of the fused adapters sits on {settings[PLACE]}.")
    value = torch.full((d, d), 1e-6)
    value.fill_diagonal_(1.0)
    own = {"query": 0.02 * torch.randn(d, d), "key": 0.02 * torch.randn(d, d), "value": value}
    for number in numbers:
        size = settings[f"size_{number}"]
        check_branch(_branch_settings(settings, number))
        shapes = {"down": (size, d), "down_bias": (size,), "up": (d, size), "up_bias": (d,)}
        own |= {f"adapter{number}_{name}": torch.zeros(shape) for name, shape in shapes.items()}
    return own


def copy(fresh: Fresh) -> None:
    """Fill the frozen branches with the adapters' own numbers."""
    parameters = bridge.adapter_parameters(fresh.module, fresh.adapter)
    own = {bridge.canonical(path): parameter for path, parameter in parameters.items()}
    for number, source in enumerate(_read(fresh.settings, fresh.resolve)):
        for host, tensors in source.hosts.items():
            inside = f"{host}.sidecar_{KIND.name}.beside.{fresh.adapter}"
            for name, tensor in tensors.items():
                place = own[f"{inside}.adapter{number}_{name}"]
                if place.shape != tensor.shape:
                    raise UserError(
                        f"{source.name!r} does not fit the base: {name} of {host} is {list(tensor.shape)}, expected "
                        f"{list(place.shape)}. Fuse adapters of the base that is trained."
                    )
                place.data.copy_(tensor)


def _branch_settings(settings: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {name: settings[f"{name}_{number}"] for name in ("activation", "scale", "parallel")}


def _fused(own: Mapping[str, Tensor], settings: Mapping[str, Any], x: Tensor, h: Tensor) -> Tensor:
    """Return Σₙ sₙ V zₙ for a module's input x and output h, [.., d]."""
    numbers = sorted({int(name.removeprefix("adapter").partition("_")[0]) for name in own if _frozen(name)})
    added = []
    for number in numbers:
        chosen = _branch_settings(settings, number)
        parameters = {name: own[f"adapter{number}_{name}"] for name in _TENSORS}
        added.append(branch(parameters, x if chosen["parallel"] else h, chosen))
    z = torch.stack(added, dim=-2)
    query = functional.linear(h.to(own["query"].dtype), own["query"])
    shares = (functional.linear(z, own["key"]) * query.unsqueeze(-2)).sum(-1).softmax(-1)
    return functional.linear((shares.unsqueeze(-1) * z).sum(-2), own["value"])  # V is linear: once for the sum


def _after(host: nn.Module, live: Sequence[Live], arguments: Arguments, output: Any) -> Any:
    h = first(output)
    total = h
    for adapter in live:
        fused = _fused(adapter.parameters, adapter.settings, hidden_input(*arguments), h)
        total = total + (adapter.weight * fused).to(h.dtype)
    return with_first(output, total)


def _frozen(name: str) -> bool:
    return name.startswith("adapter")


class FusionCourse(Course):
    """Holds every V near the identity."""

    def penalty(self) -> Tensor | None:
        """Return λ Σ ‖V − I‖² over the layers."""
        strength = self.learner.settings.regularisation
        if not strength:
            return None
        return strength * torch.stack(list(self._distances())).sum()

    def _distances(self) -> Iterator[Tensor]:
        for path, value in bridge.adapter_parameters(self.learner.module, self.learner.adapter).items():
            if path.endswith(".value"):
                yield (value - torch.eye(len(value), device=value.device)).square().sum()


KIND = SidecarKind("fusion", _fresh, after=_after, frozen=_frozen)
