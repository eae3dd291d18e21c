"""Write an adapter for other programs, and prove the file.

What is written is read back through the format's own reader, and every module's delta is compared with the adapter's in
float64 before the file takes its place.
"""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pipelines.attach import other_weights_notice
from pipelines.base_check import check_base
from pipelines.families import LoadedBase
from pipelines.formats import Export, Format, find_format, formats
from pipelines.formats._layer import Layer, dense, fold_scale, low_rank
from pipelines.formats._names import ModuleNames
from pipelines.formats._part_layers import embedding_of_part, ia3_layers, layers_of_part, merged_layers
from pipelines.formats._parts import WORD_TYPE
from pipelines.formats._proof import largest_error, skeleton
from pipelines.importing import Imported, bring_in
from trainers.adapter import Adapter, AdapterPart
from trainers.card import AdapterCard
from trainers.errors import UserError, raise_problems
from trainers.methods import find_method, methods
from trainers.names import usable_name
from trainers.storage import TEMPORARY_PREFIX

PRECISIONS: Mapping[str, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_TOLERANCE = {torch.float32: 2e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest error of a written module, over its delta's norm; a few roundings of the number format."""


_HIGHEST_RANK = 16_384


@dataclass(frozen=True)
class Exported:
    """What was written."""

    modules: int
    error: float
    """Largest ‖written − adapter‖ / ‖adapter‖ over the modules; of a merged model, what rounding took from a delta."""
    notes: Sequence[str] = field(default_factory=tuple)


def take_out(
    adapter: Adapter,
    format_name: str,
    path: Path,
    *,
    base: LoadedBase | None = None,
    precision: str | None = None,
    rank: int | None = None,
    base_folder: Path | None = None,
) -> Exported:
    """Write an adapter in another program's format, read it back, and compare every module.

    Args:
        base: the adapter's base; needed where `needs_base` says so.
        precision: number format in the file; None is fp32 for adapters and the base's own for merged models.
        rank: write what the format has no form for as LoRA of this rank, with the loss reported.
        base_folder: the base's files, for a merged model.

    Raises:
        UserError: the format cannot hold the adapter, the place is taken, or the written file differs from the adapter.
    """
    chosen = _writable(format_name)
    if chosen.needs_names(adapter.card):
        _needed(base, adapter.card)
    if base is not None:
        check_base(base, adapter.card)
    if path.exists():
        raise UserError(f"{path} exists already. Choose another --out, or remove it first.")
    dtype = PRECISIONS[precision] if precision else None
    words = {part: content for part, content in adapter.parts.items() if content.config.get("peft_type") == WORD_TYPE}
    if rank is not None:
        _check_rank(rank, adapter.card.name, chosen, is_word=bool(words))
    if words:
        return _write_word(adapter, chosen, path, words, dtype)
    layers, whole, notes = _layers(adapter, chosen, base)
    if chosen.merge is not None:
        names = ModuleNames(_needed(base, adapter.card).parts)
        export = Export(adapter.card, layers, names, dtype, base_folder=base_folder)
        loss = chosen.merge(path, export)
        return Exported(sum(map(len, layers.values())), loss, tuple(notes))
    if rank is not None and all(layer.form == "lora" for own in layers.values() for layer in own.values()):
        raise UserError(
            f"{adapter.card.name!r} is LoRA already, which --rank {rank} leaves as it is; use studio resize for "
            "another rank."
        )
    layers, more = _fitted(layers, chosen, base, rank)
    if base is not None and notes:  # something was computed with the base's weights
        more += other_weights_notice(base, [adapter.card])
    return _write_and_prove(adapter.card, chosen, path, layers, whole, base, dtype or torch.float32, [*notes, *more])


def convert(
    path: Path,
    format_name: str,
    out: Path,
    base: LoadedBase,
    *,
    precision: str | None = None,
    rank: int | None = None,
    allow_unmatched: bool = False,
) -> tuple[Imported, Exported]:
    """Turn a file into another format by way of an adapter.

    Args:
        precision: as for `take_out`.
        rank: as for `take_out`.
        allow_unmatched: as for `bring_in`; what has no place in the base is not in the new file.

    Raises:
        UserError: as for `bring_in` and `take_out`.
    """
    _writable(format_name)
    imported = bring_in(path, base, usable_name(out.stem, "converted"), allow_unmatched=allow_unmatched)
    if len(imported.adapters) > 1:
        raise UserError(
            f"{path.name} holds {len(imported.adapters)} things ({', '.join(imported.adapters)}), which are not one "
            "file in another format. Import it, and export what you need."
        )
    (adapter,) = imported.adapters.values()
    exported = take_out(adapter, format_name, out, base=base, precision=precision, rank=rank)
    return imported, exported


def _check_rank(rank: int, name: str, chosen: Format, *, is_word: bool) -> None:
    if not 1 <= rank <= _HIGHEST_RANK:
        raise UserError(f"The rank {rank} is out of range; 1 to {_HIGHEST_RANK} is possible.")
    if is_word or chosen.merge is not None:
        what = f"{name!r} is a new word" if is_word else f"{chosen.title} takes any change of weights"
        raise UserError(f"{what}, so that --rank {rank} would do nothing; leave it away.")


def needs_base(adapter: Adapter, format_name: str) -> bool:
    """Return whether writing an adapter in a format takes its base: for names, or because deltas depend on it."""
    chosen = _writable(format_name)
    if chosen.needs_names(adapter.card):
        return True
    for part in adapter.parts.values():
        if part.config.get("peft_type") == WORD_TYPE:
            continue
        if chosen.takes_whole and part.config.get("peft_type") != "LORA":
            continue
        layers = layers_of_part(part)
        if layers is None or any(layer.form not in chosen.kinds for layer in layers.values()):
            return True
    return False


def _writable(name: str) -> Format:
    chosen = find_format(name)
    if chosen.write is None and chosen.merge is None:
        writable = sorted(own.name for own in formats().values() if own.write is not None or own.merge is not None)
        raise UserError(f"The format {name!r} can only be read. Written are: {', '.join(writable)}.")
    return chosen


def _write_word(
    adapter: Adapter, chosen: Format, path: Path, words: Mapping[str, AdapterPart], dtype: torch.dtype | None
) -> Exported:
    """Write a new word; only one format has a place for it."""
    if "embedding" not in chosen.kinds or words.keys() != adapter.parts.keys() or chosen.write is None:
        raise UserError(
            f"{adapter.card.name!r} is a new word, which {chosen.title} cannot hold: use textual_inversion."
        )
    rows = {part: embedding_of_part(content) for part, content in words.items()}
    token = next(iter(rows.values()))[0]
    embeddings = {token: {part: tensor for part, (_, tensor) in rows.items()}}
    chosen.write(path, Export(adapter.card, {}, None, dtype, embeddings=embeddings))
    return Exported(len(rows), 0.0)


def _layers(
    adapter: Adapter, chosen: Format, base: LoadedBase | None
) -> tuple[dict[str, dict[str, Layer]], dict[str, AdapterPart], list[str]]:
    """Return layers and whole parts as the format may take them, before any is made to fit."""
    layers: dict[str, dict[str, Layer]] = {}
    whole: dict[str, AdapterPart] = {}
    notes: list[str] = []
    for part, content in adapter.parts.items():
        kind = str(content.config.get("peft_type"))
        method = adapter.card.parts[part].method
        if chosen.takes_whole and kind != "LORA":
            if kind.startswith("STUDIO_"):
                raise UserError(
                    f"{method} on the {part} is a method of this studio alone, which {chosen.title} cannot hold."
                )
            whole[part] = content
            continue
        own = layers_of_part(content)
        if own is None:
            if method in methods() and not find_method(method).mergeable:
                raise UserError(
                    f"{method} on the {part} is no change of weights, so {chosen.title} has no form for it. Its folder "
                    "in the library can be shared as it is."
                )
            module = _needed(base, adapter.card).parts[part]
            own = ia3_layers(content, module) if kind == "IA3" else merged_layers(content, module, what=part)
            if any(layer.kind == "full" for layer in own.values()):
                notes.append(f"{part}: {method} is written as full deltas against {adapter.card.base.name}.")
        layers[part] = own
    return layers, whole, notes


def _fitted(
    layers: Mapping[str, Mapping[str, Layer]], chosen: Format, base: LoadedBase | None, rank: int | None
) -> tuple[dict[str, dict[str, Layer]], list[str]]:
    """Turn layers that the format has no form for into ones that it has."""
    fitted: dict[str, dict[str, Layer]] = {}
    notes: list[str] = []
    problems: list[str] = []
    worst = 0.0
    for part, own in layers.items():
        fitted[part] = {}
        for path, layer in own.items():
            if rank is None and layer.form in chosen.kinds:
                fitted[part][path] = layer
                continue
            if rank is not None and layer.form == "lora":
                fitted[part][path] = layer
                continue
            if rank is None and "full" not in chosen.kinds:
                problems.append(f"{part}/{path} is {layer.title}")
                continue
            full = _dense(layer, part, path, base)
            if rank is None:
                fitted[part][path] = full
                continue
            weight = full.tensors.get("weight")
            if weight is None or weight.ndim < 2 or "bias" in full.tensors:
                problems.append(f"{part}/{path} changes a norm or a bias, which LoRA cannot")
                continue
            fitted[part][path], error = low_rank(weight, rank)
            worst = max(worst, error)
    raise_problems(
        f"{chosen.title} has no form for {len(problems)} modules; write --format kohya, or LoRA of a fixed rank with "
        "--rank:",
        problems,
    )
    if worst:
        notes.append(f"brought to LoRA of rank {rank}: up to {100 * worst:.2g} % of a module's delta was lost.")
    return fitted, notes


def _dense(layer: Layer, part: str, path: str, base: LoadedBase | None) -> Layer:
    if base is None:
        raise UserError(f"{layer.title} needs its base to be written in this format. Give it with --base.")
    weight = base.parts[part].get_submodule(path)._parameters["weight"]
    assert weight is not None
    return dense(layer, weight.detach().cpu())


def _needed(base: LoadedBase | None, card: AdapterCard) -> LoadedBase:
    if base is None:
        raise UserError(f"The adapter {card.name!r} can only be written with its base {card.base.name!r}: give --base.")
    return base


def _write_and_prove(
    card: AdapterCard,
    chosen: Format,
    path: Path,
    layers: Mapping[str, Mapping[str, Layer]],
    whole: Mapping[str, AdapterPart],
    base: LoadedBase | None,
    dtype: torch.dtype,
    notes: Sequence[str],
) -> Exported:
    assert chosen.write is not None
    modules = base.parts if base is not None else {part: skeleton(own) for part, own in layers.items()}
    names = ModuleNames(modules)
    folded = {part: {p: fold_scale(layer) for p, layer in own.items()} for part, own in layers.items()}
    export = Export(card, folded, names if base is not None else None, dtype, whole)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}{path.suffix}")
    try:
        chosen.write(temporary, export)
        error = largest_error(temporary, chosen, layers, names, _TOLERANCE[dtype])
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True) if temporary.is_dir() else temporary.unlink(missing_ok=True)
        raise
    count = sum(len(own) for own in layers.values()) + sum(len(part.tensors) for part in whole.values())
    return Exported(count, error, tuple(notes))
