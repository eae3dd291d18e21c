"""Bring an adapter in from another program's file: matched against a live base, it becomes an ordinary adapter."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipelines.attach import attached
from pipelines.base_card import base_card
from pipelines.base_check import check_base
from pipelines.families import LoadedBase
from pipelines.formats import Format, Found, Source, open_source, recognise
from pipelines.formats._format import about_base
from pipelines.formats._magnitudes import meant_magnitudes
from pipelines.formats._metadata import ABOUT
from pipelines.formats._names import ModuleNames
from pipelines.formats._part_layers import DELTA_TYPE
from pipelines.formats._parts import WORD_METHOD, embedding_part, part_of_layers
from trainers.adapter import Adapter, AdapterPart
from trainers.card import AdapterCard, PartCard
from trainers.errors import UserError
from trainers.wording import count_of


@dataclass(frozen=True)
class Imported:
    """What was made of a file, and what there is to say about it."""

    adapters: Mapping[str, Adapter]
    """By name: one for the changes of weights, and one for each new word."""
    format: Format
    matched: Mapping[str, int]
    unmatched: Sequence[str]
    notes: Sequence[str]


def bring_in(
    path: Path, base: LoadedBase, name: str, *, allow_unmatched: bool = False, dora_norm: str | None = None
) -> Imported:
    """Make an adapter of a file or folder in any known format.

    Args:
        allow_unmatched: take the file although the base has no module for some of its names.
        dora_norm: what DoRA magnitudes per output stand over: ``adapted``, the norm of weight and change, as trainers
            and PEFT have it, or ``base``, the norm of the base's weight, as ComfyUI and Forge apply them. None goes by
            the file, which says it where this studio wrote it; else ``adapted``.

    Raises:
        UserError: the file cannot be trusted or read, nothing in it matches the base, or something does not and that
            was not allowed.
    """
    source = open_source(path)
    chosen = recognise(source)
    assert chosen.read is not None
    found = chosen.read(source, ModuleNames(base.parts))
    _check_matches(source, found, base, allow_unmatched=allow_unmatched)
    if found.card is not None:
        check_base(base, found.card)
        own = Adapter(found.card.model_copy(update={"name": name}), found.whole, {})
        with attached(base, {name: own}):
            return Imported({name: own}, chosen, found.matched, (), tuple(source.notes))
    parts: dict[str, AdapterPart] = dict(found.whole)
    cards = {part: PartCard(method=_method_of(content)) for part, content in parts.items()}
    read, meant = meant_magnitudes(found.layers, found.metadata, source.tensors, base, dora_norm)
    notes = [*source.notes, *found.notes, *_made_for_another(source, base), *meant]
    for part, layers in read.items():
        made = part_of_layers(layers, base.parts[part], what=part)
        parts[part] = made.part
        cards[part] = PartCard(method=made.method, settings=dict(made.settings))
        notes += [made.note] if made.note else []
    about = _about(source, chosen, found)
    adapters: dict[str, Adapter] = {}
    if parts:
        order = [part for part in base.parts if part in parts]
        card = _new_card(name, base, {part: cards[part] for part in order}, _triggers(found.metadata), about)
        adapters[name] = Adapter(card, {part: parts[part] for part in order}, {})
    adapters |= _words(found, base, name, about, alone=not parts)
    for adapter in adapters.values():
        with attached(base, {name: adapter}):
            pass  # every tensor must find its place
    return Imported(adapters, chosen, found.matched, found.unmatched, notes)


def _words(found: Found, base: LoadedBase, name: str, about: dict[str, Any], *, alone: bool) -> dict[str, Adapter]:
    """Return an adapter for each new word; a part carries one method, so a word beside other changes is apart."""
    adapters = {}
    for token, rows_by_part in found.embeddings.items():
        own = name if alone and len(found.embeddings) == 1 else f"{name[: 99 - len(token)]}-{token}"
        parts = {part: embedding_part(token, rows, base.parts[part]) for part, rows in rows_by_part.items()}
        cards = {
            part: PartCard(method=WORD_METHOD, settings={"word": token, "vectors": len(rows)})
            for part, rows in rows_by_part.items()
        }
        adapters[own] = Adapter(_new_card(own, base, cards, (f"<{token}>",), about), parts, {})
    return adapters


def _new_card(
    name: str, base: LoadedBase, parts: dict[str, PartCard], triggers: tuple[str, ...], about: dict[str, Any]
) -> AdapterCard:
    facts = base_card(base)
    return AdapterCard(name=name, base=facts, parts=parts, triggers=triggers, training=about)


def _check_matches(source: Source, found: Found, base: LoadedBase, *, allow_unmatched: bool) -> None:
    matched = sum(found.matched.values())
    about = about_base(source.metadata, source.tensors)
    other = f"{about} The base {base.name!r} is of family {base.family!r}; give another with --base."
    if not matched and not found.unmatched:
        raise UserError(f"{source.path.name} changes nothing of a base; give another file. {' '.join(found.notes)}")
    if not matched:
        raise UserError(
            f"None of {count_of(len(found.unmatched), 'name')} in {source.path.name} is a module of the base "
            f"{base.name!r} (for example {', '.join(found.unmatched[:3])}).{other}"
        )
    if found.unmatched and not allow_unmatched:
        fitting = f"{count_of(matched, 'module')} of {source.path.name} {'matches' if matched == 1 else 'match'}"
        without = f"{count_of(len(found.unmatched), 'name')} {'does' if len(found.unmatched) == 1 else 'do'} not"
        raise UserError(
            f"{fitting} the base {base.name!r} and {without}, for example "
            f"{', '.join(found.unmatched[:5])}.{other} To go without them, add --allow-unmatched."
        )


def _made_for_another(source: Source, base: LoadedBase) -> list[str]:
    """Say that a file names another kind of base, for the case that all its modules fit: the first text encoders do."""
    declared = source.metadata.get("ss_base_model_version") or source.metadata.get("modelspec.architecture") or ""
    starts = {"sdxl": ("sdxl", "stable-diffusion-xl"), "sd1": ("sd_v1", "stable-diffusion-v1")}
    meant = next((family for family, own in starts.items() if declared.startswith(own)), base.family)
    if meant == base.family:
        return []
    return [f"The file says that it is for {declared[:80]}, and the base {base.name!r} is of family {base.family!r}."]


def _method_of(part: AdapterPart) -> str:
    """Return the studio's word for a PEFT type."""
    kind = str(part.config.get("peft_type")).lower()
    name = kind.removeprefix("studio_")
    return "partial" if kind == DELTA_TYPE.lower() else name


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
    about = {
        name: " ".join(found.metadata[f"modelspec.{name}"].split())[:500]
        for name in ABOUT
        if f"modelspec.{name}" in found.metadata
    }
    counts = {"matched": sum(found.matched.values()), "unmatched": len(found.unmatched)}
    imported = {"format": chosen.name, "tensors_sha256": digest.hexdigest(), **counts}
    return {"imported": imported, **({"about": about} if about else {})}
