"""What a reader states: which names of a file it looks up, which tensors it takes there, and what it adds with them.

A rule speaks of a program that has loaded the very base at hand, and of strength 1. Letters as in `formats._layer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.formats._names import ModuleNames, Place

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipelines.formats._layer import Layer

Leaves = Mapping[str, "Tensor"]
"""One module's tensors by the ends of their keys."""
Layers = Mapping[str, Mapping[str, "Layer"]]
"""part -> path -> layer"""
ADAPTED = "adapted"
"""A magnitude per output is the norm of W + ΔW (Liu et al. 2024; PEFT, LyCORIS, OneTrainer)."""
BASE = "base"
"""A magnitude per output is taken over the norm of W alone (ComfyUI, Forge)."""


@dataclass(frozen=True)
class Taken:
    """What a reader makes of one module's tensors."""

    change: Callable[[Tensor], Tensor] | None = None
    """(W in float64) -> what is added to it; None leaves the weight alone."""
    bias: Tensor | None = None
    """What is added to the bias."""
    plain: Layer | None = None
    """The same change as LoRA factors, where it is one; comparing factors is cheaper than comparing products."""


@dataclass(frozen=True)
class Reading:
    """What a reader makes of a file."""

    taken: Mapping[Place, Taken]
    unread: Sequence[str] = ()
    """Keys that it passes over, or has no name for where it takes nothing."""
    refusal: str = ""
    """Why it takes nothing of the file at all, empty where it does."""


@dataclass(frozen=True)
class Reader:
    """One program that reads adapter files, as facts."""

    name: str
    """The word used in commands."""
    title: str
    version: str
    """Which code the rule was read in."""
    formats: tuple[str, ...]
    """Formats of this studio that it reads; the one that it reads best comes first."""
    kinds: Mapping[str, frozenset[str]]
    """format -> the forms of layers that it applies as they are meant; others must become something else first."""
    spellings: Callable[[Place, ModuleNames], Iterator[str]]
    """The names that it knows a module by."""
    ends: frozenset[str]
    """Ends of keys that it looks for behind a name."""
    take: Callable[[Leaves, Place, nn.Module], Taken | None]
    """(a module's tensors, where, the module) -> what it does with them; None where it does nothing."""
    families: frozenset[str] = frozenset({"sd1", "sdxl"})
    """The families of bases that its rule was read for; nothing is said of its files for others."""
    magnitude: str = ADAPTED
    """How it takes a magnitude per output."""
    refuse: Callable[[Mapping[Place, Leaves], Sequence[str]], str] = lambda groups, unread: ""
    """(tensors by module, keys passed over) -> why it takes nothing of the whole file."""
    complete: Callable[[Layers, ModuleNames], Layers] = lambda layers, names: layers
    """Add what changes nothing, where the reader passes over a module without it."""
    bias_alone: bool = True
    """Whether it takes a change of a bias without one of the weight."""
    words: frozenset[str] = frozenset({"one", "both"})
    """Which textual inversions it takes: of one text encoder of two (``one``), of all that there are (``both``)."""
    needs_alpha: bool = False
    """Whether it takes a module only with an alpha beside it."""
    needs: Callable[[Mapping[Place, Taken], ModuleNames], Mapping[Place, Taken]] = lambda taken, names: taken
    """Drop what it takes only together with other modules that are not there."""


def read_as(reader: Reader, tensors: Mapping[str, Tensor], names: ModuleNames) -> Reading:
    """Return what a reader makes of a file's tensors on a base."""
    places = {name: place for place in names.hosts for name in reader.spellings(place, names)}
    ends = sorted(reader.ends, key=len, reverse=True)
    groups: dict[Place, dict[str, Tensor]] = {}
    keys: dict[Place, list[str]] = {}
    unread: list[str] = []
    for key, tensor in tensors.items():
        end = next((end for end in ends if key.endswith(f".{end}")), None)
        place = places.get(key[: -len(end) - 1]) if end is not None else None
        if end is None or place is None:
            unread.append(key)
            continue
        groups.setdefault(place, {})[end] = tensor
        keys.setdefault(place, []).append(key)
    refusal = reader.refuse(groups, unread)
    if refusal:
        return Reading({}, unread, refusal)
    taken = {place: reader.take(leaves, place, names.hosts[place]) for place, leaves in groups.items()}
    found = reader.needs({place: own for place, own in taken.items() if own is not None}, names)
    unread += [key for place, own in keys.items() if place not in found for key in own]
    return Reading(found, unread)
