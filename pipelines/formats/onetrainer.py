"""OneTrainer's files: kohya's or diffusers' names, and embeddings of new tokens in the same file as ``bundle_emb.``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.formats._format import Format, Found
from pipelines.formats._names import ModuleNames
from pipelines.formats._words import BUNDLED

if TYPE_CHECKING:
    from pipelines.formats._source import Source


def _recognise(source: Source) -> bool:
    bundled = any(key.startswith(BUNDLED) for key in source.tensors)
    return bundled or any(key.startswith("ot_") for key in source.metadata)


def _read(source: Source, names: ModuleNames) -> Found:
    from pipelines.formats._layered_file import read_layers

    return read_layers(source, names)


FORMAT = Format(
    name="onetrainer", title="OneTrainer file, with bundled embeddings", recognise=_recognise, read=_read, order=10
)
