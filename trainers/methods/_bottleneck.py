"""Bottleneck adapters: a narrow two-layer network beside or behind a host; what their methods share.

branch(x) = s · Up(f(Down(x))), Down [m, d] and Up [d, m] with biases. Up is 0 at first: a fresh one changes nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from trainers.errors import UserError
from trainers.methods import _peft_bridge as bridge
from trainers.methods._hosts import first, hidden_input, width, with_first
from trainers.methods._method import Course, MethodSettings, ResolveTargets
from trainers.methods._sidecar import Arguments, Live, SidecarKind, register

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
}
LIVE_WEIGHT = "w times what the adapter adds to its host's output, exactly"


class BottleneckSettings(MethodSettings):
    """What all bottleneck adapters can be told."""

    size: int = Field(16, ge=1, le=4096, description="Width of the bottleneck. More learns more and stores more.")
    activation: Literal["relu", "silu", "gelu"] = Field("relu", description="The function inside the bottleneck.")
    scale: float = Field(1.0, gt=0, le=100, description="Factor on what the adapter adds.")
    skip_first: int = Field(
        0, ge=0, le=1000, description="AdapterDrop: leave the adapter out of the first blocks, for speed."
    )
    drop_up_to: int = Field(
        0,
        ge=0,
        le=1000,
        description="AdapterDrop: in every training step leave it out of the first n blocks, n drawn from 0 to "
        "this, so that blocks can be dropped later.",
    )


def bottleneck_config(settings: BottleneckSettings, resolve: ResolveTargets, hosts: Sequence[str], **more: Any) -> Any:
    """Return the PEFT config of adapters on kinds of hosts.

    Raises:
        UserError: AdapterDrop would leave no block with an adapter.
    """
    blocks = resolve(("block",))
    for name in ("skip_first", "drop_up_to"):
        count = getattr(settings, name)
        if count and count >= len(blocks):
            raise UserError(
                f"{name} {count} leaves no adapter: there are {len(blocks)} blocks, so take fewer than that."
            )
    skipped = tuple(f"{block}." for block in blocks[: settings.skip_first])
    targets = [path for path in resolve(tuple(hosts)) if not (skipped and path.startswith(skipped))]
    kept = settings.model_dump(mode="json", include={"size", "activation", "scale"})
    return register(KIND)(target_modules=targets, settings={**kept, "blocks": list(blocks), **more})


def fresh_branch(d: int, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the parameters of a branch of width d.

    Raises:
        ValueError: the settings, which may come from a file, are not those of a branch.
    """
    size = settings["size"]
    check_branch(settings)
    down = torch.empty(size, d)
    nn.init.kaiming_uniform_(down, a=math.sqrt(5))
    return {"down": down, "down_bias": torch.zeros(size), "up": torch.zeros(d, size), "up_bias": torch.zeros(d)}


def check_branch(settings: Mapping[str, Any]) -> None:
    """Check settings that may come from a file.

    Raises:
        ValueError: they are not those of a branch.
    """
    if settings["activation"] not in ACTIVATIONS or not isinstance(settings["scale"], int | float):
        raise ValueError(f"The bottleneck's activation must be one of {', '.join(ACTIVATIONS)} and its scale a number.")


def branch(parameters: Mapping[str, Tensor], x: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """Return s · Up(f(Down(x))) for x [.., d], in the precision of the parameters."""
    inner = functional.linear(x.to(parameters["down"].dtype), parameters["down"], parameters["down_bias"])
    inner = ACTIVATIONS[settings["activation"]](inner)
    return settings["scale"] * functional.linear(inner, parameters["up"], parameters["up_bias"])


class AdapterDrop(Course):
    """Draws for every step how many of the first blocks go without the adapter (Rücklé et al. 2020, section 2)."""

    def before_step(self, step: int, generator: torch.Generator) -> None:
        limit = self.learner.settings.drop_up_to
        if limit:
            self._silence(int(torch.randint(0, limit + 1, (1,), generator=generator)))

    def after_step(self, step: int, *, skipped: bool) -> None:
        if self.learner.settings.drop_up_to:
            self._silence(0)

    def _silence(self, count: int) -> None:
        module, adapter = self.learner.module, self.learner.adapter
        bridge.drop_first_blocks(module, adapter, count)


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    return fresh_branch(width(host), settings)


def _after(host: nn.Module, live: Sequence[Live], arguments: Arguments, output: Any) -> Any:
    found = first(output)
    total = found
    for adapter in live:
        x = hidden_input(*arguments) if adapter.settings.get("parallel") else found
        total = total + adapter.weight * branch(adapter.parameters, x, adapter.settings).to(found.dtype)
    return with_first(output, total)


KIND = SidecarKind("bottleneck", _fresh, after=_after)
register(KIND)
