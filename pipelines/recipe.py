"""Combine adapters into one, and prove the result against the formula."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.blends import find_blend
from pipelines.deltas import LowRankDelta, lora_part, read_deltas
from trainers.adapter import Adapter, AdapterCard, AdapterPart, ParentCard, PartCard, RecipeCard
from trainers.errors import UserError

TOLERANCE = 1e-5
"""Largest accepted error of a written layer against the exact sum, as a share of its summands: float32 rounding."""


@dataclass(frozen=True)
class LayerProof:
    """One layer of a written blend against the float64 sum of its parents."""

    part: str
    layer: str
    rank: int
    error: float
    """‖written − sum‖ / Σ|wᵢ|·‖ΔWᵢ‖ (Frobenius): summands that cancel cannot make rounding look like a mistake."""


def blend_adapters(name: str, parents: Sequence[tuple[Adapter, float]], blend_name: str = "exact") -> Adapter:
    """Combine adapters of one base into one.

    Args:
        parents: adapters with their weights, any sign; at least one weight is not 0.

    Raises:
        UserError: the parents belong to different bases, a part is no LoRA, or every weight is 0.
    """
    blend = find_blend(blend_name)
    parents = [(adapter, weight) for adapter, weight in parents if weight != 0]
    if not parents:
        raise UserError("Every weight is 0, so there is nothing to blend. Give at least one other weight.")
    _check_same_base([adapter.card for adapter, _ in parents])
    parts: dict[str, AdapterPart] = {}
    for part, layers in _layers(parents).items():
        parts[part] = lora_part({path: blend.combine(*zip(*found, strict=True)) for path, found in layers.items()})
    return Adapter(_card(name, parents, blend_name, parts), parts, references={})


def prove_blend(written: Adapter, parents: Sequence[tuple[Adapter, float]]) -> list[LayerProof]:
    """Compare an adapter, read back from disk, with the dense float64 sum of its parents, layer by layer.

    Raises:
        UserError: it lacks a layer or has one too many.
    """
    proofs: list[LayerProof] = []
    parents = [(adapter, weight) for adapter, weight in parents if weight != 0]
    expected = _layers(parents)
    if written.parts.keys() != expected.keys():
        raise UserError(f"The written blend {written.card.name!r} has other parts than its parents have together.")
    for part, layers in expected.items():
        found = read_deltas(written.parts[part], what=f"{written.card.name}/{part}")
        if found.keys() != layers.keys():
            raise UserError(
                f"The written blend {written.card.name!r} has other layers in {part} than its parents have together."
            )
        for path, summands in layers.items():
            exact = sum(delta.dense() * weight for delta, weight in summands)
            assert not isinstance(exact, int)  # every layer has at least one summand
            written_layer = found[path].dense()
            if written_layer.shape != exact.shape:
                raise UserError(
                    f"The written blend {written.card.name!r} has another shape in {part}/{path} than its parents."
                )
            scale = sum(float(delta.dense().norm()) * abs(weight) for delta, weight in summands) or 1.0
            error = float((written_layer - exact).norm()) / scale
            proofs.append(LayerProof(part, path, found[path].rank, error))
    return proofs


def _layers(
    parents: Sequence[tuple[Adapter, float]],
) -> dict[str, dict[str, list[tuple[LowRankDelta, float]]]]:
    """Return part -> layer -> its deltas with weights; a layer missing from a parent adds nothing."""
    layers: dict[str, dict[str, list[tuple[LowRankDelta, float]]]] = {}
    for adapter, weight in parents:
        for part, content in adapter.parts.items():
            deltas = read_deltas(content, what=f"The part {part} of {adapter.card.name!r}")
            for path, delta in deltas.items():
                layers.setdefault(part, {}).setdefault(path, []).append((delta, weight))
    return layers


def _check_same_base(cards: Sequence[AdapterCard]) -> None:
    first = cards[0]
    for card in cards[1:]:
        if (card.base.family, card.base.widths) != (first.base.family, first.base.widths):
            raise UserError(
                f"{first.name!r} belongs to the base {first.base.name!r} and {card.name!r} to {card.base.name!r}; only "
                "adapters of the same base can be blended."
            )


def _card(
    name: str,
    parents: Sequence[tuple[Adapter, float]],
    blend_name: str,
    parts: Mapping[str, AdapterPart],
) -> AdapterCard:
    cards = [adapter.card for adapter, _ in parents]
    recipe = RecipeCard(
        blend=blend_name,
        parents=tuple(
            ParentCard(name=card.name, weight=weight, created=card.created)
            for card, (_, weight) in zip(cards, parents, strict=True)
        ),
    )
    triggers = tuple(dict.fromkeys(trigger for card in cards for trigger in card.triggers))
    return AdapterCard(
        name=name,
        base=cards[0].base,
        parts={
            part: PartCard(method="lora", settings={"rank": int(content.config["r"])})
            for part, content in parts.items()
        },
        triggers=triggers,
        recipe=recipe,
        versions=cards[0].versions,
    )
