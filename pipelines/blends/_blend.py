"""What a blend's file states, and what it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pipelines.deltas import Delta


EXACT, WITH_LOSS, LIVE = "exact", "with loss", "live only"


class BlendSettings(BaseModel):
    """Base of every blend's settings: frozen, and an unknown key is an error. This one has none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Layer:
    """One layer's deltas; an input that does not touch the layer is not among them."""

    part: str
    path: str
    names: tuple[str, ...]
    """Which input each delta is of."""
    deltas: tuple[Delta, ...]
    weights: tuple[float, ...]
    """The input's weight here: its own times that of the part, the block and the step."""
    inputs: Mapping[str, float]
    """Every input of the recipe with its weight, also those that do not touch the layer."""
    seed: int = 0
    keys: Mapping[str, str] = field(default_factory=dict)
    """Input -> its content hash: what is random follows the content, not the order or the name."""
    step: int = 0
    steps: int = 1
    """Number of sampling steps; a file has one moment, step 0 of 1."""

    def generator(self, name: str) -> torch.Generator:
        """Return the source of randomness of one input in this layer."""
        import torch

        text = f"{self.seed}/{self.keys.get(name, name)}/{self.part}/{self.path}"
        return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big"))

    def dense(self) -> list[Tensor]:
        """Return the deltas entry by entry."""
        return [delta.dense() for delta in self.deltas]


Address = tuple[str, str]
"""Part and path."""


@dataclass(frozen=True)
class Learning:
    """What a blend that is trained is given."""

    base: Any
    """The loaded base (`pipelines.families.LoadedBase`), bare."""
    layers: Sequence[Layer]
    triggers: Mapping[str, tuple[str, ...]]
    """Each input's trigger words."""
    seed: int
    on_step: Callable[[int, int], None]
    """Is told (steps done, steps in all)."""


@dataclass(frozen=True)
class Blend:
    """One way to combine adapters, as facts."""

    name: str
    title: str
    source: str
    """Formula, and where it comes from."""
    combine: Callable[[Layer, Any, Any], Delta]
    """(one layer, settings, what `prepare` returned) -> the layer's delta."""
    settings: type[BlendSettings] = BlendSettings
    kind: str = WITH_LOSS
    """`EXACT`: the weighted sum of the deltas, so that the file can be proved against it and a parent be taken out
    again. `WITH_LOSS`: another sum. `LIVE`: it changes with the sampling step, so no file can hold it."""
    prepare: Callable[[Sequence[Layer], Any], Any] | None = None
    """(all layers, settings) -> what `combine` needs to know of the others."""
    finish: Callable[[Mapping[Address, Delta], Any, int], Mapping[Address, Delta]] | None = None
    """(all results, settings, bytes per number) -> the results, where one depends on the others."""
    learn: Callable[..., Any] | None = None
    """(`Learning`, settings) -> what `combine` gets; for blends that are trained."""
    by_block: bool = False
    """Whether at least one input must have weights by block."""
    tokens: Callable[[Sequence[Tensor], Sequence[float]], Tensor] | None = None
    """(one tensor of each input [n, d], weights) -> the tensor; for parts that hold learned tokens."""
