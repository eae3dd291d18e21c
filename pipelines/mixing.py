"""From a recipe and its adapters to one delta per layer, at any moment of sampling."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from pipelines.base_check import check_base
from pipelines.blends import find_blend
from pipelines.blends._blend import LIVE, Address, Layer, Learning
from pipelines.blocks import UNetLayout, check_layout, check_names, layout_of_card, layout_of_parts, weights_by_layer
from pipelines.deltas import BIAS, Delta, kind_of
from pipelines.effective import part_deltas
from pipelines.families import LoadedBase
from pipelines.recipe import DTYPES, Recipe, RecipeInput, with_hashes
from trainers.adapter import Adapter, AdapterPart
from trainers.card import AdapterCard
from trainers.errors import UserError, raise_problems
from trainers.parts import TEXT_ENCODER
from trainers.parts import kind_of as kind_of_part

TOKEN_KINDS = ("STUDIO_PROMPT", "STUDIO_PREFIX")

AllDeltas = Mapping[str, Mapping[str, Mapping[str, Delta]]]
"""Input -> part -> address -> delta."""


@dataclass(frozen=True)
class Mixed:
    """What a recipe makes of its adapters at one moment."""

    full: Mapping[Address, Delta]
    """The blend's formula, before its rank is lowered."""
    deltas: Mapping[Address, Delta]
    """What is written, or put on the base."""
    layers: Mapping[Address, Layer]
    """What each was made of."""


class Mixture:
    """A recipe over adapters in memory."""

    def __init__(
        self,
        recipe: Recipe,
        adapters: Mapping[str, Adapter],
        base: LoadedBase | None = None,
        *,
        deltas: AllDeltas | None = None,
        on_step: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Read what the recipe needs.

        Args:
            adapters: by the names that the recipe uses.
            base: bare; needed by methods whose delta depends on it, and by blends that learn.
            deltas: the adapters' deltas when they are read already, see `read_all`.
            on_step: is told (steps done, steps in all) of a blend that learns.

        Raises:
            UserError: adapters of different bases, parts that cannot be blended, hashes that have changed, or weights
                that fit no layer.
        """
        recipe.check()
        active = recipe.active()
        check_same_base([adapters[item.adapter].card for item in active])
        _check_recipe_base(recipe, adapters[active[0].adapter].card, base)
        if base is not None:
            check_base(base, adapters[active[0].adapter].card)
        self.recipe = with_hashes(recipe, adapters)
        self.adapters = adapters
        used = {item.adapter: adapters[item.adapter] for item in self.recipe.active()}
        self.tokens = _token_parts(self.recipe, used)
        _check_part_names(self.recipe, used)
        layout = recipe_layout([adapter.card for adapter in used.values()], base)
        self._layers = _gather(self.recipe, read_all(used, base) if deltas is None else deltas, layout)
        if not self._layers and not self.tokens:
            raise UserError("The recipe touches no layer: every weight is 0 by part or block. Raise one.")
        self._prepared = self._prepare(base, on_step)

    @property
    def changes_with_the_step(self) -> bool:
        """Whether a file, which has one moment, cannot hold it."""
        blends = [find_blend(name) for name in (self.recipe.blend, *self.recipe.part_blends.values())]
        return any(blend.kind == LIVE for blend in blends) or any(item.schedule for item in self.recipe.active())

    def at(self, step: int = 0, steps: int = 1, parts: tuple[str, ...] | None = None) -> Mixed:
        """Return every layer's delta at a step (from 0); what the step leaves without any input is not among them.

        Args:
            parts: only these.
        """
        full: dict[Address, Delta] = {}
        layers: dict[Address, Layer] = {}
        for layer in self._layers:
            if parts is not None and layer.part not in parts:
                continue
            moment = self._at_step(layer, step, steps)
            if not moment.deltas:
                continue
            blend, settings = self._rule(layer.part)
            address = (layer.part, layer.path)
            full[address] = blend.combine(moment, settings, self._prepared.get((layer.part, blend.name)))
            layers[address] = moment
        return Mixed(full, self._finished(full), layers)

    def _finished(self, full: Mapping[Address, Delta]) -> dict[Address, Delta]:
        """Lower the ranks; a budget is for the whole adapter, so all parts of one blend are taken together."""
        deltas = dict(full)
        for name in dict.fromkeys(self._rule(part)[0].name for part, _ in full):
            blend = find_blend(name)
            if blend.finish is not None:
                own = {address: delta for address, delta in full.items() if self._rule(address[0])[0] is blend}
                settings = self._rule(next(iter(own))[0])[1]
                deltas |= blend.finish(own, settings, DTYPES[self.recipe.dtype].itemsize)
        return deltas

    def is_sum(self, part: str) -> bool:
        """Return whether the blend's formula for a part is the weighted sum, whatever its rank becomes."""
        return self._rule(part)[0].combine in (find_blend("exact").combine, find_blend("svd").combine)

    def _rule(self, part: str) -> tuple[Any, Any]:
        """Return blend and settings of a part; what changes with the step adds exactly where there are no steps."""
        blend = self.recipe.blend_of(part)
        if blend.kind == LIVE and _runs_once(part):
            exact = find_blend("exact")
            return exact, exact.settings()
        return blend, self.recipe.settings_of(part)

    def _at_step(self, layer: Layer, step: int, steps: int) -> Layer:
        schedules = {item.adapter: item.schedule for item in self.recipe.active() if item.schedule is not None}
        if _runs_once(layer.part) or not schedules:
            return replace(layer, step=step, steps=steps)
        factors = [schedules[name].factor(step, steps) if name in schedules else 1.0 for name in layer.names]
        kept = [number for number, factor in enumerate(factors) if factor]
        return replace(
            layer,
            names=tuple(layer.names[number] for number in kept),
            deltas=tuple(layer.deltas[number] for number in kept),
            weights=tuple(layer.weights[number] * factors[number] for number in kept),
            step=step,
            steps=steps,
        )

    def _prepare(self, base: LoadedBase | None, on_step: Callable[[int, int], None]) -> dict[tuple[str, str], Any]:
        prepared: dict[tuple[str, str], Any] = {}
        parts = list(dict.fromkeys(layer.part for layer in self._layers))
        by_blend: dict[str, Any] = {}
        for part in parts:
            blend, settings = self._rule(part)
            if blend.name not in by_blend:
                own = [layer for layer in self._layers if self._rule(layer.part)[0] is blend]
                if blend.learn is not None:
                    if base is None:
                        raise UserError(f"The blend {blend.name!r} learns on the base. Name it (--base).")
                    triggers = {name: adapter.card.triggers for name, adapter in self.adapters.items()}
                    learning = Learning(base, own, triggers, self.recipe.seed, on_step)
                    by_blend[blend.name] = blend.learn(learning, settings)
                else:
                    by_blend[blend.name] = blend.prepare(own, settings) if blend.prepare is not None else None
            prepared[part, blend.name] = by_blend[blend.name]
        return prepared


def read_all(adapters: Mapping[str, Adapter], base: LoadedBase | None) -> AllDeltas:
    """Return every adapter's deltas by part; parts that hold learned tokens have none and are left out."""
    found: dict[str, dict[str, Mapping[str, Delta]]] = {}
    for name, adapter in adapters.items():
        found[name] = {}
        for part, content in adapter.parts.items():
            if kind_of(content) not in TOKEN_KINDS:
                module = base.parts[part] if base is not None else None
                found[name][part] = part_deltas(content, module, what=f"The part {part} of {name!r}")
    return found


def recipe_layout(cards: Sequence[AdapterCard], base: LoadedBase | None) -> UNetLayout | None:
    """Return how the base of these adapters counts its blocks: as it does itself, else as a card says that it does."""
    if base is not None:
        return layout_of_parts(base.parts)
    return next((found for card in cards if (found := layout_of_card(card.base)) is not None), None)


def check_same_base(cards: list[AdapterCard]) -> None:
    """Refuse adapters of bases with different families or shapes.

    Raises:
        UserError: naming two that differ.
    """
    first = cards[0]
    for card in cards[1:]:
        if (card.base.family, card.base.widths) != (first.base.family, first.base.widths):
            raise UserError(
                f"{first.name!r} belongs to the base {first.base.name!r} and {card.name!r} to {card.base.name!r}; only "
                "adapters of the same base can be blended."
            )


def _runs_once(part: str) -> bool:
    """Return whether a part runs before the first sampling step alone, so that no schedule reaches it."""
    return kind_of_part(part) == TEXT_ENCODER


def _check_recipe_base(recipe: Recipe, card: AdapterCard, base: LoadedBase | None) -> None:
    found = base.fingerprint if base is not None else card.base.fingerprint
    if recipe.base and recipe.base != found:
        raise UserError(
            f"The recipe was written for the base {recipe.base[:12]}, this one is {found[:12]}. Give that base with "
            "--base, or take 'base' out of the recipe."
        )


def _check_part_names(recipe: Recipe, adapters: Mapping[str, Adapter]) -> None:
    known = {part for adapter in adapters.values() for part in adapter.parts}
    named: list[tuple[str, list[str]]] = [("part_blends", list(recipe.part_blends))]
    named += [(f"the parts of {item.adapter!r}", list(item.parts)) for item in recipe.active()]
    problems = [f"{what}: {name!r}" for what, names in named for name in names if name not in known]
    raise_problems(f"The recipe names parts that no input has (they have {', '.join(sorted(known))}):", problems)


def _gather(recipe: Recipe, deltas: AllDeltas, layout: UNetLayout | None) -> list[Layer]:
    active = recipe.active()
    inputs = {item.adapter: item.weight for item in active}
    keys = {item.adapter: item.hash for item in active}
    found: dict[Address, list[tuple[str, Delta, float]]] = {}
    everywhere = {(part, address.removesuffix(BIAS))
                  for parts in deltas.values() for part, own in parts.items() for address in own}  # fmt: skip
    for item in active:
        if isinstance(item.blocks, Mapping):
            check_layout(item.blocks, layout, what=f"The block weights of {item.adapter!r}")
            check_names(item.blocks, everywhere, layout, what=f"The block weights of {item.adapter!r}")
        for part, layers in deltas[item.adapter].items():
            weights = _weights(item, part, list(layers), layout)
            for address, delta in layers.items():
                if weights[address]:
                    found.setdefault((part, address), []).append((item.adapter, delta, weights[address]))
    layers_found = []
    for (part, path), items in found.items():
        names, own, weights_here = zip(*items, strict=True)
        shapes = {delta.shape for delta in own}
        if len(shapes) > 1:
            raise UserError(
                f"The layer {path} of {part} has different shapes in {', '.join(names)}: "
                f"{', '.join(str(list(shape)) for shape in shapes)}. They belong to different bases."
            )
        layers_found.append(Layer(part, path, names, own, weights_here, inputs, recipe.seed, keys))
    return layers_found


def _weights(item: RecipeInput, part: str, addresses: list[str], layout: UNetLayout | None) -> dict[str, float]:
    own = item.weight * item.parts.get(part, 1.0)
    if item.blocks is None:
        return dict.fromkeys(addresses, own)
    paths = [address.removesuffix(BIAS) for address in addresses]
    blocks = weights_by_layer(item.blocks, part, paths, layout, what=f"The block weights of {item.adapter!r}")
    return {address: own * blocks[address.removesuffix(BIAS)] for address in addresses}


def _token_parts(recipe: Recipe, adapters: Mapping[str, Adapter]) -> dict[str, AdapterPart]:
    """Return the parts that hold learned tokens, combined."""
    inputs = {item.adapter: item for item in recipe.active()}
    parts: dict[str, AdapterPart] = {}
    for part in dict.fromkeys(part for adapter in adapters.values() for part in adapter.parts):
        holders = {name: adapter.parts[part] for name, adapter in sorted(adapters.items()) if part in adapter.parts}
        kinds = {name: kind_of(content) for name, content in holders.items()}
        if not set(kinds.values()) & set(TOKEN_KINDS):
            continue
        if len(set(kinds.values())) > 1:
            said = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
            raise UserError(f"The part {part} is learned tokens in one input and something else in another ({said}).")
        blend = recipe.blend_of(part)
        if blend.tokens is None:
            raise UserError(
                f"The part {part} of {', '.join(holders)} holds learned tokens, not deltas, so {blend.name!r} has "
                f"nothing to add. Use --blend {part}=concatenate, or {part}=interpolate where lengths agree."
            )
        weights = [inputs[name].weight * inputs[name].parts.get(part, 1.0) for name in holders]
        parts[part] = _joined(list(holders.values()), weights, blend.tokens, part)
    return parts


def _joined(contents: list[AdapterPart], weights: list[float], join: Any, part: str) -> AdapterPart:
    first = contents[0]
    keys = set(first.tensors)
    if any(set(content.tensors) != keys for content in contents) or any(".network." in key for key in keys):
        raise UserError(f"The learned tokens of {part} sit in different layers, so they cannot be put together.")
    tensors: dict[str, Tensor] = {
        key: join([content.tensors[key] for content in contents], weights) for key in first.tensors
    }
    length = {len(tensor) for tensor in tensors.values()}
    if len(length) != 1:
        raise UserError(
            f"The learned tokens of {part} have several lengths in one adapter; they cannot be put together."
        )
    settings = {**first.config.get("settings", {}), "length": length.pop()}
    return AdapterPart({**first.config, "settings": settings}, tensors)
