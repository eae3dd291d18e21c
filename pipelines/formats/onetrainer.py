"""OneTrainer's files: kohya's or diffusers' names, and embeddings of new tokens in the same file as ``bundle_emb.``."""

from pipelines.formats._format import Format, Found, read_layers
from pipelines.formats._names import ModuleNames
from pipelines.formats._source import Source
from pipelines.formats._words import BUNDLED


def _recognise(source: Source) -> bool:
    bundled = any(key.startswith(BUNDLED) for key in source.tensors)
    return bundled or any(key.startswith("ot_") for key in source.metadata)


def _read(source: Source, names: ModuleNames) -> Found:
    return read_layers(source, names)


FORMAT = Format(
    name="onetrainer", title="OneTrainer file, with bundled embeddings", recognise=_recognise, read=_read, order=10
)
