"""Write an adapter for other programs, and prove the file.

What is written is read back through the format's own reader, and every module's delta is compared with the adapter's in
float64 before the file takes its place. It is also read by the rule of every program that reads the format: what one of
them passes over, or gives another weight, is said before; a file for one program must be right there.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipelines.attach import other_weights_notice
from pipelines.base_check import check_base
from pipelines.deltas import changes_words
from pipelines.export_fitting import fitted, suited
from pipelines.export_writing import Exported, Writing
from pipelines.families import LoadedBase
from pipelines.formats import Export, Format, find_format, formats
from pipelines.formats._layer import Layer
from pipelines.formats._names import ModuleNames
from pipelines.formats._part_layers import embedding_of_part, ia3_layers, layers_of_part, merged_layers
from pipelines.formats._parts import WORD_TYPE
from pipelines.formats._proof import skeleton
from pipelines.formats.kohya import is_sdxl
from pipelines.importing import Imported, bring_in
from pipelines.readers import Reader, find_reader, readers, readers_of
from trainers.adapter import Adapter, AdapterPart
from trainers.card import AdapterCard
from trainers.errors import UserError
from trainers.methods import find_method, methods
from trainers.names import usable_name

PRECISIONS: Mapping[str, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_HIGHEST_RANK = 16_384


def take_out(
    adapter: Adapter,
    format_name: str | None,
    path: Path,
    *,
    reader_name: str | None = None,
    allow_unread: bool = False,
    base: LoadedBase | None = None,
    precision: str | None = None,
    rank: int | None = None,
    base_folder: Path | None = None,
    say: Callable[[Exported], None] = lambda exported: None,
) -> Exported:
    """Write an adapter in another program's format, read it back, and compare every module.

    Args:
        format_name: None is what the reader reads best.
        reader_name: the program that the file is for; it is written as that program must find it.
        allow_unread: write the file although that program passes over modules or gives them another weight.
        base: the adapter's base; needed where `needs_base` says so.
        precision: number format in the file; None is fp32 for adapters and the base's own for merged models.
        rank: write what the format has no form for as LoRA of this rank, with the loss reported.
        base_folder: the base's files, for a merged model.
        say: told what will not be as the adapter has it, before the file takes its place.

    Raises:
        UserError: the format cannot hold the adapter, the place is taken, the written file differs from the adapter, or
            its reader will not apply all of it.
    """
    chosen, reader = choose(adapter, format_name, reader_name)
    if chosen.needs_names(adapter.card) or reader is not None:
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
        told = [find_reader(reader_name)] if reader_name is not None else list(readers().values())
        notes = _word_notes(adapter.card, words, told)
        if notes and reader_name is not None and not allow_unread:
            raise UserError(f"{' '.join(notes)} To write it all the same, add --allow-unread.")
        exported = _write_word(adapter, chosen, path, words, dtype, notes)
        say(exported)
        return exported
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
    meant = layers
    layers, more = fitted(layers, chosen, base, rank, reader)
    meant = layers if rank is not None else meant  # the loss of the rank is told apart
    names = ModuleNames(base.parts if base is not None else {part: skeleton(own) for part, own in layers.items()})
    if reader is not None:
        layers, suit = suited(layers, reader, chosen, _needed(base, adapter.card), names)
        more += suit
    if base is not None and (notes or more):  # something was computed with the base's weights
        more += other_weights_notice(base, [adapter.card])
    asked = (
        (reader,)
        if reader is not None and reader_name is not None
        else tuple(readers_of(chosen.name, adapter.card.base.family))
    )
    writing = Writing(adapter.card, chosen, reader, asked, dtype or torch.float32, base, names, meant, layers, whole)
    return writing.write(path, [*notes, *more], say, allow_unread=allow_unread)


def foresee(adapter: Adapter, format_name: str | None, **options: Any) -> Exported:
    """Return what `take_out` would say of a file with the same options, without leaving one; nothing unread stops it.

    Raises:
        UserError: as `take_out`.
    """
    chosen, _ = choose(adapter, format_name, options.get("reader_name"))
    if chosen.merge is not None:
        return Exported(0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("it" if chosen.is_folder else "it.safetensors")
        return take_out(adapter, format_name, path, **{**options, "allow_unread": True})


def choose(adapter: Adapter, format_name: str | None, reader_name: str | None) -> tuple[Format, Reader | None]:
    """Return the format of a file for a program, and the program whose rule decides how it is written.

    Raises:
        UserError: there is no such format or program, neither is named, or the program does not read the format.
    """
    if reader_name is None:
        if format_name is None:
            raise UserError("Nothing says what to write. Give --for PROGRAM, --format FORMAT, or both.")
        chosen = _writable(format_name)
        is_word = any(part.config.get("peft_type") == WORD_TYPE for part in adapter.parts.values())
        return chosen, find_reader(chosen.reader) if chosen.reader and not is_word else None
    reader = find_reader(reader_name)
    if adapter.card.base.family not in reader.families:
        raise UserError(
            f"How {reader.title} reads adapters of the family {adapter.card.base.family!r} is not known here; its rule "
            f"was read for {', '.join(sorted(reader.families))}. Leave --for away, and give --format."
        )
    if any(part.config.get("peft_type") == WORD_TYPE for part in adapter.parts.values()):
        return _writable(format_name or "textual_inversion"), None
    chosen = _writable(format_name or reader.formats[0])
    if chosen.merge is not None:
        raise UserError(
            f"{chosen.title} is a whole model, so that --for {reader_name} would do nothing; leave it away."
        )
    if chosen.name not in reader.formats:
        raise UserError(
            f"{reader.title} does not read {chosen.title}. It reads {', '.join(reader.formats)}; leave --format away "
            f"to get {reader.formats[0]}."
        )
    return chosen, reader


def convert(
    path: Path,
    format_name: str | None,
    out: Path,
    base: LoadedBase,
    *,
    allow_unmatched: bool = False,
    dora_norm: str | None = None,
    **options: Any,
) -> tuple[Imported, Exported]:
    """Turn a file into another format by way of an adapter.

    Args:
        allow_unmatched: as for `bring_in`; what has no place in the base is not in the new file.
        dora_norm: as for `bring_in`.
        options: as for `take_out`.

    Raises:
        UserError: as for `bring_in` and `take_out`.
    """
    if format_name is not None:
        _writable(format_name)
    name = usable_name(out.stem, "converted")
    imported = bring_in(path, base, name, allow_unmatched=allow_unmatched, dora_norm=dora_norm)
    if len(imported.adapters) > 1:
        raise UserError(
            f"{path.name} holds {len(imported.adapters)} things ({', '.join(imported.adapters)}), which are not one "
            "file in another format. Import it, and export what you need."
        )
    (adapter,) = imported.adapters.values()
    exported = take_out(adapter, format_name, out, base=base, **options)
    return imported, exported


def _check_rank(rank: int, name: str, chosen: Format, *, is_word: bool) -> None:
    if not 1 <= rank <= _HIGHEST_RANK:
        raise UserError(f"The rank {rank} is out of range; 1 to {_HIGHEST_RANK} is possible.")
    if is_word or chosen.merge is not None:
        what = f"{name!r} is a new word" if is_word else f"{chosen.title} takes any change of weights"
        raise UserError(f"{what}, so that --rank {rank} would do nothing; leave it away.")


def needs_base(adapter: Adapter, format_name: str | None, reader_name: str | None = None) -> bool:
    """Return whether writing an adapter takes its base: for names, a reader's rule, or deltas that depend on it."""
    chosen, reader = choose(adapter, format_name, reader_name)
    if chosen.needs_names(adapter.card) or reader is not None:
        return True
    for part in adapter.parts.values():
        if part.config.get("peft_type") == WORD_TYPE:
            continue
        if chosen.takes_whole and (part.config.get("peft_type") != "LORA" or changes_words(part)):
            continue
        layers = layers_of_part(part)
        if layers is None or any(layer.form not in chosen.kinds for layer in layers.values()):
            return True
    return False


def gains_by_base(adapter: Adapter, format_name: str | None) -> bool:
    """Return whether the base is not needed, but lets what readers will make of the file be measured."""
    return any(part.config.get("use_dora") for part in adapter.parts.values()) and format_name != "peft"


def _writable(name: str) -> Format:
    chosen = find_format(name)
    if chosen.write is None and chosen.merge is None:
        writable = sorted(own.name for own in formats().values() if own.write is not None or own.merge is not None)
        raise UserError(f"The format {name!r} can only be read. Written are: {', '.join(writable)}.")
    return chosen


def _write_word(
    adapter: Adapter,
    chosen: Format,
    path: Path,
    words: Mapping[str, AdapterPart],
    dtype: torch.dtype | None,
    notes: Sequence[str],
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
    return Exported(len(rows), 0.0, tuple(notes))


def _word_notes(card: AdapterCard, words: Mapping[str, AdapterPart], asked: Sequence[Reader]) -> list[str]:
    """Return which programs pass over a new word."""
    held = "one" if is_sdxl(card) and len(words) == 1 else "both"
    titles = [reader.title for reader in asked if reader.words and held not in reader.words]
    notes = [f"{reader.title} reads no words." for reader in asked if not reader.words and len(asked) == 1]
    if titles:
        notes.append(
            f"{card.name!r} is a word in the {next(iter(words))} alone; of a base with two text encoders "
            f"{' and '.join(titles)} take a word only with rows for both, and pass over this one."
        )
    return notes


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
        if chosen.takes_whole and (kind != "LORA" or changes_words(content)):
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


def _needed(base: LoadedBase | None, card: AdapterCard) -> LoadedBase:
    if base is None:
        raise UserError(f"The adapter {card.name!r} can only be written with its base {card.base.name!r}: give --base.")
    return base
