"""The studio's own folders, as they lie in a library: ``adapter.json`` and, per part, PEFT's two files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.formats._format import Format, Found
from pipelines.formats._names import ModuleNames

if TYPE_CHECKING:
    from pipelines.formats._source import Source


def _recognise(source: Source) -> bool:
    return source.is_own


def _read(source: Source, names: ModuleNames) -> Found:
    from trainers.adapter import read_adapter

    adapter = read_adapter(source.path)
    return Found(whole=adapter.parts, card=adapter.card)


FORMAT = Format(
    name="studio", title="adapter folder of this studio", recognise=_recognise, read=_read, is_folder=True, order=-1
)
