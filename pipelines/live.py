"""Recipes on a loaded base: deltas are put on its weights from kept copies, and taken off bit for bit.

(W + ΔW) − ΔW is not W once W has rounded, so nothing is ever subtracted: what a delta changes is copied first, every
new weight is the copy plus the delta, added in float64 and rounded once, and leaving restores the copy. Changing from
one recipe to another reloads nothing.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from pipelines.attach import Attachments
from pipelines.blends._blend import Address
from pipelines.deltas import BIAS, NO_WHOLE_TRANSPOSED, Delta, LowRankDelta, is_transposed
from pipelines.families import LoadedBase
from pipelines.mixing import AllDeltas, Mixture, read_all
from pipelines.recipe import Recipe
from trainers.adapter import Adapter
from trainers.errors import UserError
from trainers.tuners import peft_bridge as bridge


class WeightSwitch:
    """The weights of a base with a set of deltas, or without any."""

    def __init__(self, base: LoadedBase) -> None:
        self.base = base
        self._kept: dict[Address, Tensor] = {}
        self._tensors: dict[Address, nn.Parameter] = {}
        self._transposed: set[Address] = set()
        """Weights that are stored as [in, out], as GPT-2's are."""

    @torch.no_grad()
    def set(self, deltas: Mapping[Address, Delta]) -> None:
        """Make the base W + ΔW for these deltas and W everywhere else.

        Raises:
            UserError: the base lacks a layer, or its shape differs; the base is then as it was before the first delta.
        """
        try:
            for address in self._kept.keys() - deltas.keys():
                self._tensors[address].copy_(self._kept[address])
            for address, delta in deltas.items():
                tensor = self._tensor(address, delta)
                kept = self._kept.setdefault(address, tensor.detach().clone())
                change = (delta.dense().T if address in self._transposed else delta.dense()).to(tensor.device)
                tensor.copy_((kept.double() + change).to(tensor.dtype))
        except BaseException:
            self.restore()
            raise

    @torch.no_grad()
    def restore(self) -> None:
        """Put the base back, bit for bit."""
        for address, kept in self._kept.items():
            self._tensors[address].copy_(kept)
        self._kept.clear()

    def _tensor(self, address: Address, delta: Delta) -> nn.Parameter:
        if address not in self._tensors:
            for part, module in self.base.parts.items():
                for path, layer in module.named_modules():
                    for name, suffix in (("weight", ""), ("bias", BIAS)):
                        value = layer._parameters.get(name)
                        if value is not None:
                            own = (part, bridge.canonical(f"{path}.")[:-1] + suffix)
                            self._tensors.setdefault(own, value)
                            if not suffix and is_transposed(layer):
                                self._transposed.add(own)
        found = self._tensors.get(address)
        if address in self._transposed and not isinstance(delta, LowRankDelta):
            raise UserError(f"The layer {address[1]} of {address[0]} {NO_WHOLE_TRANSPOSED}")
        shape = None if found is None else found.T.shape if address in self._transposed else found.shape
        if found is None or shape != delta.shape:
            there = "it is not there" if found is None else f"it is {list(found.shape)}"
            if found is None and address[1].endswith(BIAS):
                there = "its layer has no bias, which an adapter that is attached can add and a weight cannot"
            raise UserError(
                f"The layer {address[1]} [{', '.join(map(str, delta.shape))}] of {address[0]} does not fit the base "
                f"{self.base.name!r}: {there}. Give the base that the adapters were trained on."
            )
        return found


class LiveRecipes:
    """Recipes over a set of adapters on one base. Made while the base is bare; other adapters may be attached later."""

    def __init__(self, base: LoadedBase, adapters: Mapping[str, Adapter]) -> None:
        self.base = base
        self.adapters = adapters
        self._deltas: AllDeltas = read_all(adapters, base)
        self._mixtures: dict[str, Mixture] = {}
        self._switch = WeightSwitch(base)

    def mixture(self, recipe: Recipe) -> Mixture:
        """Return a recipe's mixture; it is worked out once."""
        key = recipe.model_dump_json()
        if key not in self._mixtures:
            self._mixtures[key] = Mixture(recipe, self.adapters, self.base, deltas=self._deltas)
        return self._mixtures[key]

    @contextlib.contextmanager
    def acting(self, recipe: Recipe, steps: int) -> Iterator[Callable[[int], None]]:
        """Let a recipe act for the length of a block that samples; the base is bit-identical afterwards.

        Yields:
            what must be told after every step how many are done.
        """
        mixture = self.mixture(recipe)
        attachments = Attachments(self.base)
        try:
            if mixture.tokens:
                card = next(iter(self.adapters.values())).card
                adapter = Adapter(card.model_copy(update={"parts": {}}), mixture.tokens, {})
                attachments.add("blend", adapter)
                attachments.set_weights({"blend": 1.0})
            self._switch.set(mixture.at(0, steps).deltas)

            def after_step(done: int) -> None:
                if mixture.changes_with_the_step and done < steps:
                    self._switch.set(mixture.at(done, steps).deltas)

            yield after_step
        finally:
            self._switch.restore()
            for name in list(attachments.slots):
                attachments.remove(name)
