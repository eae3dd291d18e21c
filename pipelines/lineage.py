"""What a blend was made of, and taking one of its parents out again."""

import shlex
from collections.abc import Mapping

from torch import Tensor

from pipelines.blending import joined_licences
from trainers.adapter import KEY_PREFIX, Adapter, AdapterPart
from trainers.card import ParentCard
from trainers.errors import UserError, unknown


def without(adapter: Adapter, parent: str, name: str) -> Adapter:
    """Return an exact blend without one of its parents, bit-equal in what stays: its columns are cut out.

    Raises:
        UserError: the adapter is no blend, has no such parent or no other, or its columns are not the parents' side by
            side.
    """
    recipe = adapter.card.recipe
    if recipe is None:
        raise UserError(f"{adapter.card.name!r} is no blend, so nothing can be taken out of it.")
    names = [item.name for item in recipe.parents]
    if parent not in names:
        raise unknown("Parent", parent, names)
    if len(names) == 1:
        raise UserError(f"{parent!r} is the only parent of {adapter.card.name!r}; nothing would be left.")
    leaving = recipe.parents[names.index(parent)]
    if any(set(item.ranks) != set(adapter.parts) for item in recipe.parents):
        others = [f"{item.name}:{item.weight:g}" for item in recipe.parents if item.name != parent]
        again = shlex.join(["studio", "blend", *others, "--name", name])
        raise UserError(
            f"{adapter.card.name!r} is a blend by {recipe.blend!r}, whose parents cannot be told apart any more. "
            f"Blend the others again: {again}"
        )
    parts: dict[str, AdapterPart] = {}
    for part, content in adapter.parts.items():
        kept = _cut(content, recipe.parents, leaving, part)
        if kept.tensors:
            parts[part] = kept
    stay = tuple(item for item in recipe.parents if item.name != parent)
    card = adapter.card.model_copy(
        update={
            "name": name,
            "parts": {part: _card_of(adapter, part, content) for part, content in parts.items()},
            "triggers": tuple(dict.fromkeys(trigger for item in stay for trigger in item.triggers)),
            "licence": joined_licences([item.licence for item in stay]),
            "recipe": recipe.model_copy(update={"parents": stay}),
            "scores": {},
        }
    )
    return Adapter(card, parts, references={})


def _cut(content: AdapterPart, parents: tuple[ParentCard, ...], leaving: ParentCard, part: str) -> AdapterPart:
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for key, down in content.tensors.items():
        path, found, _ = key.removeprefix(KEY_PREFIX).partition(".lora_A.")
        if not found:
            continue
        up_key = key.replace(".lora_A.", ".lora_B.")
        up = content.tensors[up_key]
        start = 0
        columns: list[int] = []
        for item in parents:
            own = item.ranks[part].get(path, item.ranks[part].get("", 0))
            columns += range(start, start + own) if item is not leaving else ()
            start += own
        if start != down.shape[0]:
            raise UserError(
                f"The layer {path} of {part} has rank {down.shape[0]}, its card says {start}; it was "
                "changed after blending."
            )
        if columns:
            ranks[path] = len(columns)
            tensors[key], tensors[up_key] = down[columns].contiguous(), up[:, columns].contiguous()
    return AdapterPart(_with_ranks(content.config, ranks), tensors)


def _with_ranks(config: Mapping[str, object], ranks: Mapping[str, int]) -> dict[str, object]:
    if not ranks:
        return dict(config)
    common = max(set(ranks.values()), key=list(ranks.values()).count)
    uneven = len(set(ranks.values())) > 1
    pattern = {path: ranks[path] for path in sorted(ranks, key=len, reverse=True)} if uneven else {}
    changed = {"r": common, "lora_alpha": common, "rank_pattern": pattern, "alpha_pattern": pattern}
    return {**config, **changed, "target_modules": sorted(ranks)}


def _card_of(adapter: Adapter, part: str, content: AdapterPart) -> object:
    return adapter.card.parts[part].model_copy(update={"settings": {"rank": content.config["r"]}})
