"""Bring an adapter in from another program's file, and write it out for other programs; every written file is proved.

A file that is brought in is matched against a live base and becomes an ordinary adapter. A file that is written is read
back through the format's own reader, and every module's delta is compared with the adapter's in float64 before the file
takes its place.
"""

import hashlib
import math
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipelines.attach import attached, check_base
from pipelines.families import LoadedBase
from pipelines.formats import Export, Format, Found, Source, find_format, open_source, recognise
from pipelines.formats._format import about_base
from pipelines.formats._layer import Layer, dense, dense_weight, fold_scale, low_rank
from pipelines.formats._names import ModuleNames
from pipelines.formats._parts import DELTA_TYPE, ia3_layers, layers_of_part, merged_layers, part_of_layers
from trainers.adapter import Adapter, AdapterCard, AdapterPart, BaseCard, PartCard
from trainers.errors import UserError, raise_problems
from trainers.methods import find_method, methods
from trainers.storage import TEMPORARY_PREFIX

PRECISIONS: Mapping[str, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_EPSILON = {torch.float32: 2e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest error of a written module, over its delta's norm; a few roundings of the number format."""
_KEPT = ("license", "author", "description", "usage_hint", "tags")


@dataclass(frozen=True)
class Imported:
    """An adapter made of a file, and what there is to say about it."""

    adapter: Adapter
    format: Format
    matched: Mapping[str, int]
    unmatched: Sequence[str]
    notes: Sequence[str]


@dataclass(frozen=True)
class Exported:
    """What was written."""

    modules: int
    error: float
    """Largest ‖written − adapter‖ / ‖adapter‖ over the modules; of a merged model, what rounding took from a delta."""
    notes: Sequence[str] = field(default_factory=tuple)


def bring_in(path: Path, base: LoadedBase, name: str, *, allow_unmatched: bool = False) -> Imported:
    """Make an adapter of a file or folder in any known format.

    Args:
        allow_unmatched: take the file although the base has no module for some of its names.

    Raises:
        UserError: the file cannot be trusted or read, nothing in it matches the base, or something does not and that
            was not allowed.
    """
    source = open_source(path)
    chosen = recognise(source)
    assert chosen.read is not None
    found = chosen.read(source, ModuleNames(base.parts))
    _check_matches(source, found, base, allow_unmatched=allow_unmatched)
    parts: dict[str, AdapterPart] = dict(found.whole)
    cards = {part: PartCard(method=_method_of(content)) for part, content in parts.items()}
    notes: list[str] = []
    for part, layers in found.layers.items():
        made = part_of_layers(layers, base.parts[part], what=part)
        parts[part] = made.part
        cards[part] = PartCard(method=made.method, settings=dict(made.settings))
        notes += [made.note] if made.note else []
    if found.embeddings:
        notes.append(f"embeddings of {', '.join(found.embeddings)} were left out: the studio has no method for them.")
    if not parts:
        raise UserError(f"{path.name} holds embeddings alone, which no method of the studio can carry yet.")
    order = [part for part in base.parts if part in parts]
    card = AdapterCard(
        name=name,
        base=BaseCard(name=base.name, family=base.family, fingerprint=base.fingerprint, widths=dict(base.widths)),
        parts={part: cards[part] for part in order},
        triggers=_triggers(found.metadata),
        training={"imported": _about(source, chosen, found)},
    )
    adapter = Adapter(card, {part: parts[part] for part in order}, {})
    with attached(base, {name: adapter}):
        pass  # every tensor must find its place
    return Imported(adapter, chosen, found.matched, found.unmatched, notes)


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
    if base is not None:
        check_base(base, adapter.card)
    if path.exists():
        raise UserError(f"{path} exists already. Choose another --out, or remove it first.")
    layers, whole, notes = _layers(adapter, chosen, base)
    dtype = PRECISIONS[precision] if precision else None
    if chosen.merge is not None:
        names = ModuleNames(_needed(base, adapter.card).parts)
        export = Export(adapter.card, layers, names, dtype, base_folder=base_folder)
        loss = chosen.merge(path, export)
        return Exported(sum(map(len, layers.values())), loss, tuple(notes))
    layers, more = _fitted(layers, chosen, base, rank)
    return _write_and_prove(adapter.card, chosen, path, layers, whole, base, dtype or torch.float32, [*notes, *more])


def convert(
    path: Path, format_name: str, out: Path, base: LoadedBase, *, precision: str | None = None, rank: int | None = None
) -> tuple[Imported, Exported]:
    """Turn a file into another format by way of an adapter.

    Raises:
        UserError: as for `bring_in` and `take_out`.
    """
    _writable(format_name)
    name = "".join(c if c.isalnum() or c in "_-." else "-" for c in out.stem).lstrip(".-") or "converted"
    imported = bring_in(path, base, name[:100])
    exported = take_out(imported.adapter, format_name, out, base=base, precision=precision, rank=rank)
    return imported, exported


def needs_base(adapter: Adapter, format_name: str) -> bool:
    """Return whether writing an adapter in a format takes its base: for names, or because deltas depend on it."""
    chosen = _writable(format_name)
    if chosen.needs_names(adapter.card):
        return True
    for part in adapter.parts.values():
        if chosen.takes_whole and part.config.get("peft_type") != "LORA":
            continue
        layers = layers_of_part(part)
        if layers is None or any(layer.form not in chosen.kinds for layer in layers.values()):
            return True
    return False


def _writable(name: str) -> Format:
    chosen = find_format(name)
    if chosen.write is None and chosen.merge is None:
        raise UserError(f"The format {name!r} is read alone; it cannot be written.")
    return chosen


def _check_matches(source: Source, found: Found, base: LoadedBase, *, allow_unmatched: bool) -> None:
    matched = sum(found.matched.values())
    about = about_base(source.metadata, source.tensors)
    other = f"{about} The base {base.name!r} is of family {base.family!r}; give another with --base."
    if not matched:
        raise UserError(
            f"None of {len(found.unmatched)} names in {source.path.name} is a module of the base {base.name!r} (for "
            f"example {', '.join(found.unmatched[:3])}).{other}"
        )
    if found.unmatched and not allow_unmatched:
        raise UserError(
            f"{matched} modules of {source.path.name} match the base {base.name!r} and {len(found.unmatched)} names do "
            f"not, for example {', '.join(found.unmatched[:5])}.{other} To go without them, add --allow-unmatched."
        )


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
    more = [f"and {len(problems) - 5} more"] if len(problems) > 5 else []
    raise_problems(
        f"{chosen.title} has no form for {len(problems)} modules; write --format kohya, or LoRA of a fixed rank with "
        "--rank:",
        problems[:5] + more,
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
    modules = base.parts if base is not None else {part: _skeleton(own) for part, own in layers.items()}
    names = ModuleNames(modules)
    folded = {part: {p: fold_scale(layer) for p, layer in own.items()} for part, own in layers.items()}
    export = Export(card, folded, names if base is not None else None, dtype, whole)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}{path.suffix}")
    try:
        chosen.write(temporary, export)
        error = _proof(temporary, chosen, layers, names, _EPSILON[dtype])
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True) if temporary.is_dir() else temporary.unlink(missing_ok=True)
        raise
    count = sum(len(own) for own in layers.values()) + sum(len(part.tensors) for part in whole.values())
    return Exported(count, error, tuple(notes))


def _proof(
    path: Path,
    chosen: Format,
    layers: Mapping[str, Mapping[str, Layer]],
    names: ModuleNames,
    tolerance: float,
) -> float:
    """Read a file back and return the largest error of a module; raise where one is past the tolerance or missing."""
    if chosen.read is None or not layers:
        return 0.0
    found = chosen.read(open_source(path), names).layers
    worst = 0.0
    for part, own in layers.items():
        if found.get(part, {}).keys() != own.keys():
            raise UserError(f"The written file has other modules in {part} than the adapter; nothing was kept.")
        for module, layer in own.items():
            host = names.hosts[next(place for place in names.hosts if (place.part, place.path) == (part, module))]
            error = _difference(layer, found[part][module], host)
            worst = max(worst, error)
            if not error <= tolerance:
                raise UserError(
                    f"The written file differs from the adapter by {error:.1e} at {part}/{module}, more than "
                    f"{tolerance:.0e}; nothing was kept. Try --save-as fp32."
                )
    return worst


def _difference(expected: Layer, found: Layer, host: nn.Module) -> float:
    weight = host._parameters["weight"]
    assert weight is not None
    pairs = [
        (dense_weight(layer, weight.detach().cpu() if layer.needs_base else weight)) for layer in (expected, found)
    ]
    both = [(pairs[0], pairs[1]), (expected.tensors.get("bias"), found.tensors.get("bias"))]
    worst = 0.0
    for one, other in both:
        if one is None and other is None:
            continue
        if one is None or other is None:
            return math.inf
        size = float(one.double().norm())
        error = float((one.double() - other.double()).norm())
        worst = max(worst, error / size if size else error)
    return worst


def _skeleton(layers: Mapping[str, Layer]) -> nn.Module:
    """Return a module without values that has just the layers' hosts, for reading a file back without its base."""
    root = nn.Module()
    for path, layer in layers.items():
        parent = root
        *ancestors, leaf = path.split(".")
        for name in ancestors:
            if name not in parent._modules:
                parent.add_module(name, nn.Module())
            parent = parent._modules[name]
        host = parent._modules.get(leaf) or nn.Module()
        shape = _shape(layer)
        host.register_parameter("weight", nn.Parameter(torch.empty(shape, device="meta")))
        if "bias" in layer.tensors:
            host.register_parameter("bias", nn.Parameter(torch.empty(len(layer.tensors["bias"]), device="meta")))
        parent.add_module(leaf, host)
    return root


def _shape(layer: Layer) -> Sequence[int]:
    own = layer.tensors
    if layer.kind == "lora":
        return (own["up"].shape[0], *own["down"].shape[1:])
    if layer.kind == "full":
        return tuple(own["weight"].shape) if "weight" in own else (len(own["bias"]), 1)
    if layer.kind == "loha" and "t1" in own:
        return (own["w1_a"].shape[1], own["w1_b"].shape[1], *own["t1"].shape[2:])
    if layer.kind == "loha":
        return (own["w1_a"].shape[0], own["w1_b"].shape[1])
    return tuple(_kronecker_shape(layer))


def _kronecker_shape(layer: Layer) -> Sequence[int]:
    own = layer.tensors
    first = own["w1"].shape if "w1" in own else (own["w1_a"].shape[0], own["w1_b"].shape[1])
    if "w2" in own:
        second = own["w2"].shape
    elif "t2" in own:
        second = torch.Size((own["w2_a"].shape[1], own["w2_b"].shape[1], *own["t2"].shape[2:]))
    else:
        second = torch.Size((own["w2_a"].shape[0], own["w2_b"].shape[1]))
    return (first[0] * second[0], first[1] * second[1], *second[2:])


def _method_of(part: AdapterPart) -> str:
    """Return the studio's word for a PEFT type."""
    kind = str(part.config.get("peft_type")).lower()
    name = kind.removeprefix("studio_")
    return name if name in methods() else {DELTA_TYPE.lower(): "partial", "fourierft": "fourierft"}.get(kind, name)


def _triggers(metadata: Mapping[str, str]) -> tuple[str, ...]:
    phrase = metadata.get("modelspec.trigger_phrase", "")
    words = [" ".join(word.split())[:200] for word in phrase.split(",")]
    return tuple(dict.fromkeys(word for word in words if word))[:50]


def _about(source: Source, chosen: Format, found: Found) -> dict[str, Any]:
    """Return where an adapter came from: the file's content, not its place."""
    digest = hashlib.sha256()
    for tensors in [source.tensors, *(own for _, own in source.folders.values())]:
        for key in sorted(tensors):
            digest.update(key.encode())
            digest.update(tensors[key].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    kept = {
        name: " ".join(found.metadata[f"modelspec.{name}"].split())[:500]
        for name in _KEPT
        if f"modelspec.{name}" in found.metadata
    }
    counts = {"matched": sum(found.matched.values()), "unmatched": len(found.unmatched)}
    return {"format": chosen.name, "tensors_sha256": digest.hexdigest(), **counts, **kept}
