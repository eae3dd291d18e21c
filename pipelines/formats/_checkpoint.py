"""Whole models with adapters added into their weights: reading a base's files, adding, and how much rounding loses.

Everything is added in float64 to the tensors of the base's own files, so their names and number formats stay. A delta
that is small against its weight is partly lost when the sum is rounded; that share is measured for every module.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from pipelines.deltas import is_transposed
from pipelines.formats._format import Export
from pipelines.formats._layer import dense_weight
from pipelines.formats._names import Place
from trainers.errors import UserError
from trainers.tensor_files import read_tensors
from trainers.wording import count_of

_LIMIT_BYTES = 64 << 30


@dataclass
class Merge:
    """Adds the deltas of an export to tensors as they come, and keeps account."""

    export: Export
    loss: float = 0.0
    """Largest ‖rounded − exact‖ / ‖delta‖ over the changed tensors."""
    done: set[tuple[Place, str]] = field(default_factory=set)

    def tensors(
        self, file: Path, part: str, prefixes: Sequence[str] = ("",)
    ) -> Iterator[tuple[str, Place | None, str, Tensor]]:
        """Yield (key, its module, ``weight`` or ``bias``, merged tensor) of one of the base's files.

        Args:
            prefixes: what the live model may have before a path of the file.
        """
        assert self.export.names is not None
        for key, tensor in read_tensors(file, "base's file", limit_bytes=_LIMIT_BYTES).items():
            path, _, leaf = key.rpartition(".")
            known = part in self.export.names.parts
            places = (self.export.names.find(f"{part}.{prefix}{path}") for prefix in prefixes if known)
            place = next((place for place in places if place is not None), None)
            yield key, place, leaf, self._merged(place, leaf, tensor)

    def finish(self) -> float:
        """Return the loss.

        Raises:
            UserError: a module of the adapter was in none of the base's files.
        """
        missing = [
            f"{part}/{path}"
            for part, layers in self.export.layers.items()
            for path, layer in layers.items()
            for leaf in ("weight", "bias")
            if (leaf in layer.tensors or (leaf == "weight" and layer.kind != "full"))
            and (Place(part, path), leaf) not in self.done
        ]
        if missing:
            raise UserError(
                f"{count_of(len(missing), 'module')} of the adapter {'is' if len(missing) == 1 else 'are'} in none of "
                f"the base's .safetensors files, for example {missing[0]}; nothing was written."
            )
        return self.loss

    def _merged(self, place: Place | None, leaf: str, tensor: Tensor) -> Tensor:
        dtype = self.export.dtype if self.export.dtype is not None and tensor.is_floating_point() else tensor.dtype
        layer = self.export.layers.get(place.part, {}).get(place.path) if place is not None else None
        if layer is None or place is None:
            return tensor.to(dtype)
        assert self.export.names is not None
        transposed = layer.kind != "full" and is_transposed(self.export.names.hosts[place])
        delta = dense_weight(layer, tensor.T if transposed else tensor) if leaf == "weight" else layer.tensors.get(leaf)
        delta = delta.T if delta is not None and transposed and leaf == "weight" else delta
        if delta is None:
            return tensor.to(dtype)
        self.done.add((place, leaf))
        exact = tensor.double() + delta.double()
        rounded = exact.to(dtype)
        if not bool(torch.isfinite(rounded).all()):
            raise UserError(f"The merged {place.part}/{place.path} does not fit {dtype}. Use --save-as fp32.")
        size = float(delta.double().norm())
        if size:
            self.loss = max(self.loss, float((rounded.double() - exact).norm()) / size)
        return rounded
