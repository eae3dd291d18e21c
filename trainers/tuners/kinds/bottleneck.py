"""Bottleneck adapters: a narrow two-layer network beside or behind a host; what their methods share.

branch(x) = s · Up(f(Down(x))), Down [m, d] and Up [d, m] with biases. Up is 0 at first: a fresh one changes nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.method import Course
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.hosts import first, hidden_input, width, with_first
from trainers.tuners.sidecar import Arguments, Live, SidecarKind

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
}


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
