"""What a format's file states, what reading gives, and what writing gets. Listing formats loads no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.formats._names import ModuleNames
from trainers.card import AdapterCard
from trainers.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pipelines.formats._layer import Layer
    from pipelines.formats._source import Source
    from trainers.adapter import AdapterPart

Layers = Mapping[str, Mapping[str, "Layer"]]
"""part -> path -> layer"""
Embeddings = Mapping[str, Mapping[str, "Tensor"]]
"""token -> part -> rows [n, d]"""


@dataclass(frozen=True)
class Found:
    """What a format's reader made of a source, with every name looked up in the live model."""

    layers: Layers = field(default_factory=dict)
    whole: Mapping[str, AdapterPart] = field(default_factory=dict)
    """Parts that are a PEFT adapter of a kind without layers here, under the live model's paths."""
    embeddings: Embeddings = field(default_factory=dict)
    unmatched: Sequence[str] = ()
    """Names in the file that the base has no module for, and keys of no known meaning."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    card: AdapterCard | None = None
    """The card of an adapter of this studio."""
    notes: Sequence[str] = ()
    """Sentences on what in the file changes nothing, and on what was read in another way than it stands there."""

    @property
    def matched(self) -> Mapping[str, int]:
        """Number of modules by part, and of embeddings."""
        counts = {part: len(layers) for part, layers in self.layers.items()}
        counts |= {part: len({key.rpartition(".")[0] for key in own.tensors}) for part, own in self.whole.items()}
        return {**counts, **({"embeddings": len(self.embeddings)} if self.embeddings else {})}


@dataclass(frozen=True)
class Export:
    """What a format's writer gets."""

    card: AdapterCard
    layers: Layers
    """Scales are folded into the factors."""
    names: ModuleNames | None
    """The live base's names; None where no base was needed."""
    dtype: torch.dtype | None
    """Number format of the written tensors; None keeps their own."""
    whole: Mapping[str, AdapterPart] = field(default_factory=dict)
    """Parts as they are, for formats that take PEFT's own files."""
    embeddings: Embeddings = field(default_factory=dict)
    base_folder: Path | None = None
    """The base's files, for formats that merge."""
    over_base: bool = False
    """Whether magnitudes per output are meant over the norm of the base's weight alone; the file says so."""
    alphas: bool = False
    """Whether every module must have an alpha beside it; else they are left away where ranks differ."""

    def tensor(self, value: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return a tensor as it goes into the file.

        Args:
            dtype: in place of the file's number format.

        Raises:
            UserError: a value does not fit the number format.
        """
        import torch

        cast = value.to(dtype or self.dtype or torch.float32)
        if not bool(torch.isfinite(cast).all()):
            kind = str(cast.dtype).removeprefix("torch.")
            raise UserError(f"A value up to {float(value.abs().max()):.3g} does not fit {kind}. Use --save-as fp32.")
        return cast.contiguous()


@dataclass(frozen=True)
class Format:
    """One way in which programs store adapters, as facts."""

    name: str
    """The word used in commands."""
    title: str
    """The programs that read and write it."""
    recognise: Callable[[Source], bool]
    read: Callable[[Source, ModuleNames], Found] | None = None
    write: Callable[[Path, Export], None] | None = None
    merge: Callable[[Path, Export], float] | None = None
    """In place of `write`: put the adapter into the base's weights; returns the largest share of a delta lost."""
    kinds: frozenset[str] = frozenset()
    """The kinds of layers that `write` has a form for; others are written as full deltas where it has that."""
    takes_whole: bool = False
    """Whether `write` also takes parts as PEFT has them, of any kind."""
    is_folder: bool = False
    needs_names: Callable[[AdapterCard], bool] = lambda card: False
    """Whether writing needs the base's own module names."""
    reader: str = ""
    """The one program whose files these are; they are written as it must find them."""
    order: int = 0
    """Formats are asked in this order which of them a source is; the more special ones first."""


def is_finite_number(value: object) -> bool:
    """Return whether a value from a file is a usable number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
