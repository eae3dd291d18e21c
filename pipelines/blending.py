"""From a recipe to an adapter that any reader of PEFT's format loads, with its parents on the card."""

from collections.abc import Mapping

from torch import nn

from pipelines.blends._blend import EXACT
from pipelines.blends._reduce import lossless
from pipelines.deltas import (
    BIAS,
    NO_WHOLE_TRANSPOSED,
    Delta,
    LowRankDelta,
    is_transposed,
    lora_part,
    tensor_shapes,
    whole_part,
)
from pipelines.factors import norm
from pipelines.families import LoadedBase
from pipelines.mixing import Mixed, Mixture
from pipelines.recipe import DTYPES, Recipe
from trainers.adapter import Adapter, AdapterPart
from trainers.card import AdapterCard, ParentCard, PartCard, RecipeCard
from trainers.errors import UserError
from trainers.wording import count_of

_ROUNDING = 1e-12


def blend_adapters(name: str, mixture: Mixture, base: LoadedBase | None = None) -> tuple[Adapter, Mixed]:
    """Return the adapter that a recipe makes, and what it was made of, which the proof needs.

    Args:
        base: bare; needed where the file must hold whole tensors.

    Raises:
        UserError: the recipe changes with the sampling step, its inputs cancel each other, or its result does not fit
            the form of file it asks for.
    """
    if mixture.changes_with_the_step:
        raise UserError(
            f"The recipe changes during sampling ({_reason(mixture.recipe)}), and a file has one set of weights. "
            "Draw with the recipe live (studio generate --recipe), or take the schedule out."
        )
    mixed = mixture.at()
    _refuse_nothing(mixture, mixed)
    parts = dict(mixture.tokens)
    for part in dict.fromkeys(part for part, _ in mixed.deltas):
        own = {path: delta for (where, path), delta in mixed.deltas.items() if where == part}
        module = base.parts[part] if base is not None else None
        parts[part] = _part(own, mixture.recipe, part, module)
    return Adapter(_card(name, mixture, parts, mixed), parts, references={}), mixed


def _refuse_nothing(mixture: Mixture, mixed: Mixed) -> None:
    """Refuse a sum of which only float64's rounding is left."""
    if mixture.tokens or not all(mixture.is_sum(part) for part, _ in mixed.full):
        return
    left = sum(norm(delta) ** 2 for delta in mixed.full.values()) ** 0.5
    summands = [
        abs(weight) * norm(delta)
        for layer in mixed.layers.values()
        for weight, delta in zip(layer.weights, layer.deltas, strict=True)
    ]
    if any(summands) and left <= _ROUNDING * sum(summands):
        shown = ", ".join(f"{item.adapter}:{item.weight:g}" for item in mixture.recipe.active())
        raise UserError(
            f"The sum of {shown} is zero: the inputs cancel each other in every layer, so there is no "
            "blend to write. Change a weight."
        )


def _part(deltas: Mapping[str, Delta], recipe: Recipe, part: str, module: nn.Module | None) -> AdapterPart:
    dtype = DTYPES[recipe.dtype]
    low = {path: delta for path, delta in deltas.items() if isinstance(delta, LowRankDelta)}
    if len(low) == len(deltas) and recipe.file != "whole":
        return lora_part({path: delta for path, delta in low.items() if delta.rank}, dtype)
    if recipe.file == "lora":
        return lora_part(
            {path: factors for path, factors in _factored(deltas, part, module).items() if factors.rank}, dtype
        )
    if module is None:
        raise UserError(
            f"The blend's {part} has no factors, so the file holds whole tensors, and for their names the base is "
            "needed. Give it with --base, or ask for factors: a rank or another budget, and --file lora."
        )
    transposed = [path for path in deltas if not path.endswith(BIAS) and is_transposed(module.get_submodule(path))]
    if transposed:
        raise UserError(f"The layer {transposed[0]} of {part} {NO_WHOLE_TRANSPOSED}")
    return whole_part(deltas, tensor_shapes(module), dtype)


def _factored(deltas: Mapping[str, Delta], part: str, module: nn.Module | None) -> dict[str, LowRankDelta]:
    """Return every delta in factor form at the rank that it has.

    Raises:
        UserError: some belong to biases, norms or embeddings, which a LoRA does not reach.
    """
    wrong = [path for path, delta in deltas.items() if len(delta.shape) < 2 or path.endswith(BIAS)]
    if module is not None:
        fitting = (nn.Linear, nn.Conv2d)
        hosts = {path: module.get_submodule(path) for path in deltas if path not in wrong}
        wrong += [path for path, host in hosts.items() if not (isinstance(host, fitting) or is_transposed(host))]
    if wrong:
        raise UserError(
            f"{count_of(len(wrong), 'tensor')} of {part} {'is' if len(wrong) == 1 else 'are'} of biases, norms or "
            f"embeddings, which a LoRA does not reach (for example {', '.join(wrong[:3])}). Use --file whole."
        )
    return {path: lossless(delta) for path, delta in deltas.items()}


def _reason(recipe: Recipe) -> str:
    scheduled = [item.adapter for item in recipe.active() if item.schedule is not None]
    return f"schedule of {', '.join(scheduled)}" if scheduled else f"blend {recipe.blend!r}"


def _card(name: str, mixture: Mixture, parts: Mapping[str, AdapterPart], mixed: Mixed) -> AdapterCard:
    recipe = mixture.recipe
    active = recipe.active()
    cards = {item.adapter: mixture.adapters[item.adapter].card for item in active}
    ranks = _ranks(recipe, parts, mixed)
    first = cards[active[0].adapter]
    parents = tuple(
        ParentCard(
            name=cards[item.adapter].name,
            weight=item.weight,
            created=cards[item.adapter].created,
            hash=item.hash,
            parts=item.parts,
            blocks=item.blocks,
            triggers=cards[item.adapter].triggers,
            licence=cards[item.adapter].licence,
            ranks=ranks.get(item.adapter, {}),
            recipe=cards[item.adapter].recipe,
        )
        for item in active
    )
    return AdapterCard(
        name=name,
        base=first.base,
        parts={part: _part_card(content, first) for part, content in parts.items()},
        triggers=tuple(dict.fromkeys(trigger for card in cards.values() for trigger in card.triggers)),
        licence=joined_licences([card.licence for card in cards.values()]),
        recipe=RecipeCard(
            blend=recipe.blend,
            parents=parents,
            part_blends=recipe.part_blends,
            settings=recipe.settings,
            seed=recipe.seed,
            dtype=recipe.dtype,
            base=recipe.base or first.base.fingerprint,
        ),
        versions=first.versions,
    )


def joined_licences(licences: list[str]) -> str:
    """Return all licences that a blend is under; an input that states none adds none."""
    return " AND ".join(dict.fromkeys(licence for licence in licences if licence))


def _part_card(content: AdapterPart, first: AdapterCard) -> PartCard:
    kind = str(content.config["peft_type"])
    if kind == "LORA":
        return PartCard(method="lora", settings={"rank": int(content.config["r"])})
    methods = {"STUDIO_DELTA": "partial", "STUDIO_PROMPT": "prompt_tuning", "STUDIO_PREFIX": "prefix_tuning"}
    return PartCard(method=methods[kind], settings=dict(content.config.get("settings", {})))


def _ranks(recipe: Recipe, parts: Mapping[str, AdapterPart], mixed: Mixed) -> dict[str, dict[str, dict[str, int]]]:
    """Return input -> part -> layer -> its number of columns, where the file is the factors side by side."""
    found: dict[str, dict[str, dict[str, int]]] = {item.adapter: {} for item in recipe.active()}
    for (part, path), layer in mixed.layers.items():
        if recipe.blend_of(part).kind != EXACT or parts[part].config["peft_type"] != "LORA":
            continue
        for name in found:
            rank = layer.deltas[layer.names.index(name)].rank if name in layer.names else 0
            found[name].setdefault(part, {})[path] = rank
    return {name: {part: _short(ranks) for part, ranks in by_part.items()} for name, by_part in found.items()}


def _short(ranks: Mapping[str, int]) -> dict[str, int]:
    """Let the empty path speak for the commonest rank."""
    common = max(set(ranks.values()), key=list(ranks.values()).count)
    return {"": common, **{path: rank for path, rank in ranks.items() if rank != common}}
