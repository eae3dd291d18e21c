"""A written file held against the adapter, as one reader will apply it to the base."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.formats._layer import Layer, dense_weight
from pipelines.formats._names import ModuleNames, Place
from pipelines.formats._proof import lora_difference
from pipelines.readers._reader import Layers, Reader, Taken, read_as
from trainers.tensor_files import read_tensors
from trainers.wording import count_of

_NAMED = 3


@dataclass(frozen=True)
class Judged:
    """What a reader makes of a file, against the adapter that it was written from."""

    reader: Reader
    total: int
    """Modules of the adapter."""
    unread: Mapping[Place, str] = field(default_factory=dict)
    """Modules that it passes over, and what of each."""
    wrong: Mapping[Place, float] = field(default_factory=dict)
    """Modules that get another weight, and ‖theirs − ours‖ / ‖ours‖ of the change."""
    unmeasured: Sequence[Place] = ()
    """Modules whose change depends on a base that is not given."""
    refusal: str = ""
    error: float = 0.0
    """The largest error of the modules that are right."""

    @property
    def is_whole(self) -> bool:
        """Whether every module is read and right."""
        return not (self.unread or self.wrong or self.unmeasured or self.refusal)

    def sentences(self) -> list[str]:
        """Return what is not as the adapter has it."""
        title, whole = self.reader.title, count_of(self.total, "module")
        if self.refusal:
            return [f"{title} takes nothing of this file: {self.refusal}."]
        told = []
        if self.unread:
            told.append(f"{title} passes over {len(self.unread)} of {whole}: {_named(self.unread)}.")
        if self.wrong:
            worst = max(self.wrong, key=lambda place: self.wrong[place])
            told.append(
                f"{title} gives {len(self.wrong)} of {whole} another weight, up to {self.wrong[worst]:.2g} of the "
                f"change off ({worst.part}/{worst.path})."
            )
        if self.unmeasured:
            told.append(
                f"{title} may give {len(self.unmeasured)} of {whole} another weight; how far off is measured with the "
                "base: give --base."
            )
        return told


def judge(
    reader: Reader, path: Path, layers: Layers, names: ModuleNames, tolerance: float, *, measured: bool = True
) -> Judged:
    """Return how a reader applies a file.

    Args:
        layers: the adapter's, in this studio's own meaning; scales as they are.
        names: the base's, or those of a skeleton.
        measured: whether the names are those of a base with values.
    """
    reading = read_as(reader, read_tensors(path, "file", limit_bytes=4 << 30), names)
    total = sum(map(len, layers.values()))
    if reading.refusal:
        return Judged(reader, total, refusal=reading.refusal)
    unread: dict[Place, str] = {}
    wrong: dict[Place, float] = {}
    unmeasured: list[Place] = []
    largest = 0.0
    for part, own in layers.items():
        for module, layer in own.items():
            place = Place(part, module)
            taken = reading.taken.get(place, Taken())
            host = names.hosts[place]
            if layer.needs_base and not measured:
                if taken.change is None:
                    unread[place] = layer.title
                elif layer.form not in _DEPENDABLE:
                    unmeasured.append(place)
                continue
            passed, error = _held_against(layer, taken, host)
            if passed:
                unread[place] = passed
            elif not error <= tolerance:
                wrong[place] = error
            else:
                largest = max(largest, error)
    return Judged(reader, total, unread, wrong, unmeasured, "", largest)


_DEPENDABLE = ("ia3",)
"""Forms that depend on the base and that whoever reads them applies alike."""


def _held_against(layer: Layer, taken: Taken, host: nn.Module) -> tuple[str, float]:
    """Return what is passed over, empty where nothing is, and the largest error."""
    weight = host._parameters["weight"]
    assert weight is not None
    plain = taken.plain is not None and layer.form == "lora"
    expected_bias = layer.tensors.get("bias")
    worst, passed = 0.0, []
    if plain:
        assert taken.plain is not None
        worst = lora_difference(layer, taken.plain)
    else:
        base = weight.detach().cpu().double() if not weight.is_meta else torch.zeros(weight.shape, dtype=torch.float64)
        expected = dense_weight(layer, base)
        if _is_something(expected) and taken.change is None:
            passed.append(layer.title)
        else:
            worst = _error(expected, None if taken.change is None else taken.change(base))
    if _is_something(expected_bias) and taken.bias is None:
        passed.append("a bias")
    else:
        worst = max(worst, _error(expected_bias, taken.bias))
    return " and ".join(passed), worst


def _is_something(tensor: Tensor | None) -> bool:
    return tensor is not None and bool(tensor.any())


def _error(expected: Tensor | None, found: Tensor | None) -> float:
    if expected is None:
        return 0.0 if not _is_something(found) else math.inf
    if found is None:
        return float(expected.double().norm())
    size = float(expected.double().norm())
    error = float((found.double().reshape(expected.shape) - expected.double()).norm())
    return error / size if size else error


def _named(places: Mapping[Place, str]) -> str:
    """Return what the passed-over modules are, by kind, with the first ones' names."""
    kinds: dict[str, int] = {}
    for place, what in places.items():
        kind = f"{what} of {_family(place)}"
        kinds[kind] = kinds.get(kind, 0) + 1
    told = ", ".join(f"{count} × {kind}" for kind, count in kinds.items())
    first = ", ".join(f"{place.part}/{place.path}" for place in list(places)[:_NAMED])
    return f"{told} (for example {first})"


def _family(place: Place) -> str:
    leaf = place.path.rpartition(".")[2]
    if "embedding" in leaf:
        return f"the {place.part}'s embeddings"
    if "norm" in leaf:
        return f"the {place.part}'s norms"
    return f"the {place.part}'s layers"
