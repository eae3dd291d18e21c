"""Writing one file: beside its place first, read back, held against the adapter, and only then put there."""

import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from pipelines.families import LoadedBase
from pipelines.formats import Export, Format
from pipelines.formats._layer import Layer, fold_scale
from pipelines.formats._leaves import split_key
from pipelines.formats._names import ModuleNames, Place
from pipelines.formats._proof import largest_error
from pipelines.readers import Reader
from pipelines.readers._judging import Judged, judge
from pipelines.readers._reader import BASE, read_as
from trainers.adapter import AdapterPart
from trainers.card import AdapterCard
from trainers.errors import UserError
from trainers.storage import TEMPORARY_PREFIX
from trainers.tensor_files import read_tensors

_TOLERANCE = {torch.float32: 2e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest error of a written module, over its delta's norm; a few roundings of the number format."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    modules: int
    error: float
    """Largest ‖written − adapter‖ / ‖adapter‖ over the modules; of a merged model, what rounding took from a delta."""
    notes: Sequence[str] = field(default_factory=tuple)
    judged: Sequence[Judged] = field(default_factory=tuple)
    """What each program that reads the format makes of the file; of a file for one program that one's alone."""

    @property
    def told(self) -> list[str]:
        """All that there is to say of the file before it is used."""
        return [*self.notes, *(sentence for own in self.judged for sentence in own.sentences())]


@dataclass(frozen=True)
class Writing:
    """One file that is to be written and proven."""

    card: AdapterCard
    chosen: Format
    reader: Reader | None
    """The program that it is written for."""
    asked: Sequence[Reader]
    """The programs that it is held against."""
    dtype: torch.dtype
    base: LoadedBase | None
    names: ModuleNames
    meant: Mapping[str, Mapping[str, Layer]]
    """The adapter's layers."""
    layers: Mapping[str, Mapping[str, Layer]]
    """The same as the file has them."""
    whole: Mapping[str, AdapterPart]

    def write(
        self, path: Path, notes: Sequence[str], say: Callable[[Exported], None], *, allow_unread: bool
    ) -> Exported:
        """Write the file beside its place, prove it, say what is to be said, and put it there."""
        assert self.chosen.write is not None
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}{path.suffix}")
        count = sum(len(own) for own in self.meant.values()) + sum(len(part.tensors) for part in self.whole.values())
        try:
            self.chosen.write(temporary, self._export())
            error = largest_error(temporary, self.chosen, self.layers, self.names, _TOLERANCE[self.dtype])
            exported = Exported(count, error, tuple(notes), tuple(self._judged(temporary)))
            if self.reader is not None and not allow_unread:
                _refuse_unread([own for own in exported.judged if own.reader is self.reader], self.chosen)
            smaller = self._known_alone(temporary) if _is_refused(exported, self.reader) else None
            if smaller is not None:
                temporary.unlink()
                return smaller.write(path, notes, say, allow_unread=allow_unread)
            say(exported)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True) if temporary.is_dir() else temporary.unlink(missing_ok=True)
            raise
        return exported

    def _export(self) -> Export:
        folded = {part: {path: fold_scale(layer) for path, layer in own.items()} for part, own in self.layers.items()}
        return Export(
            self.card,
            folded,
            self.names if self.base is not None else None,
            self.dtype,
            self.whole,
            over_base=self.reader is not None and self.reader.magnitude == BASE and _has_magnitude(self.layers),
            alphas=self.reader is not None and self.reader.needs_alpha,
        )

    def _known_alone(self, path: Path) -> "Writing | None":
        """Return the same without the modules that the reader has no name for, None where there is none to leave out.

        Forge takes nothing of a file that holds too many of them.
        """
        if self.reader is None:
            return None
        unread = read_as(self.reader, read_tensors(path, "file", limit_bytes=4 << 30), self.names).unread
        stems = {split[0] for split in map(split_key, unread) if split is not None}
        places = {self.names.find(stem) for stem in stems}
        known = {
            part: {module: layer for module, layer in own.items() if Place(part, module) not in places}
            for part, own in self.layers.items()
        }
        some = {part: own for part, own in known.items() if own}
        return replace(self, layers=some) if some and places else None

    def _judged(self, path: Path) -> list[Judged]:
        if path.is_dir() or not self.meant:
            return []  # PEFT's own folders: what reads them is what the adapter was made with
        tolerance, measured = _TOLERANCE[self.dtype], self.base is not None
        found = (judge(own, path, self.meant, self.names, tolerance, measured=measured) for own in self.asked)
        return [own for own in found if not own.is_whole or own.reader is self.reader]


def _is_refused(exported: Exported, reader: Reader | None) -> bool:
    return any(own.refusal for own in exported.judged if own.reader is reader)


def _has_magnitude(layers: Mapping[str, Mapping[str, Layer]]) -> bool:
    return any(layer.magnitude == "magnitude" for own in layers.values() for layer in own.values())


def _refuse_unread(judged: Sequence[Judged], chosen: Format) -> None:
    told = [sentence for own in judged for sentence in own.sentences()]
    if not told:
        return
    (reader,) = (own.reader for own in judged)
    best = reader.formats[0]
    way = (
        f"Leave --format away for a file in {best}, of which {reader.title} reads most."
        if best != chosen.name
        else "A merged model holds all of it (--format checkpoint_file or checkpoint_folder)."
    )
    raise UserError(f"{' '.join(told)} {way} To write it without the rest, add --allow-unread.")
