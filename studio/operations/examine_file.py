"""What another program's file is: format, kinds, ranks, what of it a base has, metadata, hashes. Nothing is kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.families import LoadedBase
from pipelines.formats import Found, Source, open_source, recognise
from pipelines.formats._format import about_base
from pipelines.formats._header import Hashes, hash_problems, hashes_of
from pipelines.formats._names import ModuleNames
from trainers.errors import UserError
from trainers.wording import count_of

_SHOWN_METADATA_CHARACTERS = 300


@dataclass(frozen=True)
class Examination:
    """What is known of a file before it is imported. Names and metadata are the file's own words: show them as text."""

    title: str
    """The format."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """Kind of layer -> number of modules."""
    ranks: Sequence[int] = ()
    matched: Mapping[str, int] = field(default_factory=dict)
    """Part -> number of modules that the base has."""
    unmatched: Sequence[str] = ()
    """Names that the base has no module for."""
    says: str = ""
    """A sentence on the base that the file was made for; empty where it does not say."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Long values are cut."""
    hashes: Hashes | None = None
    notes: Sequence[str] = ()
    """What is in the file and changes nothing, and what was changed in reading."""
    problems: Sequence[str] = ()
    """Why it cannot be imported for this base, or should not be trusted."""


def examine(path: Path, base: LoadedBase) -> Examination:
    """Look at a file or folder as an import would, without taking it.

    Raises:
        UserError: it cannot be read at all, or is no adapter in a known format.
    """
    source = open_source(path)
    chosen = recognise(source)
    assert chosen.read is not None
    hashes = hashes_of(path) if path.suffix == ".safetensors" else None
    problems = hash_problems(source.metadata, hashes) if hashes is not None else []
    found = Found()
    try:
        found = chosen.read(source, ModuleNames(base.parts))
    except UserError as error:
        problems.append(str(error))
    else:
        problems += _fit_problems(found, base)
    layers = [layer for own in found.layers.values() for layer in own.values()]
    kinds = Counter(layer.form for layer in layers)
    kinds.update(
        {str(part.config.get("peft_type", "PEFT")).lower(): len(part.tensors) for part in found.whole.values()}
    )
    return Examination(
        title=chosen.title,
        kinds=dict(kinds.most_common()),
        ranks=sorted({layer.rank for layer in layers if layer.rank}),
        matched=found.matched,
        unmatched=tuple(found.unmatched),
        says=about_base(source.metadata, source.tensors).strip(),
        metadata=_shortened(source),
        hashes=hashes,
        notes=[*source.notes, *found.notes],
        problems=problems,
    )


def _fit_problems(found: Found, base: LoadedBase) -> list[str]:
    matched = sum(found.matched.values())
    if found.card is not None and found.card.base.family != base.family:
        own = found.card.base
        return [f"it belongs to the base {own.name!r} of family {own.family!r}; {base.name!r} is of {base.family!r}"]
    if not matched and not found.unmatched:
        return ["it changes nothing of a base"]
    if not matched:
        return [f"none of its {count_of(len(found.unmatched), 'name')} is a module of the base {base.name!r}"]
    return []


def _shortened(source: Source) -> dict[str, str]:
    limit = _SHOWN_METADATA_CHARACTERS
    return {
        key[:100]: value if len(value) <= limit else f"{value[:limit]}… ({len(value):,} characters)"
        for key, value in sorted(source.metadata.items())[:200]
    }
