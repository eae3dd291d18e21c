"""Textual inversion: the learned embedding of a new word, one row per token that it takes.

Read: every spelling that `_words` knows, in safetensors and, through torch's weights-only reader, in A1111's and
diffusers' old pickled files. Written: ``emb_params``, which all of them read, diffusers with
``load_textual_inversion(file, token="<word>")``, and ``clip_l`` and ``clip_g`` for SDXL.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.formats._format import Export, Format, Found
from pipelines.formats._names import ModuleNames
from pipelines.formats._words import WORD, Rows, is_kind, read_words
from trainers.errors import UserError
from trainers.wording import listed

if TYPE_CHECKING:
    from pipelines.formats._source import Source

_WRITTEN = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}


def _recognise(source: Source) -> bool:
    from pipelines.formats._leaves import split_key

    if source.pickled is not None:
        return True
    tensors = source.tensors
    if any(map(is_kind, tensors)) and all(split_key(key) is None for key in tensors):
        return True
    if len(tensors) > 1 and not all(key.startswith("<") and key.endswith(">") for key in tensors):
        return False
    return bool(tensors) and all(split_key(key) is None and tensor.ndim < 3 for key, tensor in tensors.items())


def _read(source: Source, names: ModuleNames) -> Found:
    from pipelines.formats._source import check_tensors

    rows = _rows(source)
    check_tensors(source.path, {own.key: own.tensor for own in rows})
    words = read_words(source.path.name, rows, names)
    return Found(embeddings=words.rows, unmatched=words.unmatched, metadata=source.metadata, notes=words.notes)


def _rows(source: Source) -> list[Rows]:
    """Return a file's rows. Where no word is named, it is called like the file."""
    if source.pickled is not None:
        return _pickled_rows(source.path, source.pickled)
    stem = source.path.stem
    known = any(map(is_kind, source.tensors))
    return [
        Rows(key, stem, key, tensor) if known else Rows(key, key, WORD, tensor)
        for key, tensor in source.tensors.items()
    ]


def _pickled_rows(path: Path, content: Any) -> list[Rows]:
    from torch import Tensor

    values: dict[Any, Any] = content if isinstance(content, dict) else {}
    word = str(values.get("name") or path.stem)
    stored = values.get("string_to_param")
    if isinstance(stored, dict):
        if len(stored) != 1:
            raise UserError(
                f"{path.name} holds {len(stored)} embeddings ({listed(map(str, stored))}) under string_to_param, where "
                "one is expected. Save each word in a file of its own."
            )
        ((key, rows),) = stored.items()
        found = {f"string_to_param.{key}": rows}
    else:
        found = {str(key): value for key, value in values.items() if isinstance(value, Tensor)}
    if not found or not all(isinstance(rows, Tensor) for rows in found.values()):
        if any(isinstance(key, int) for key in values):
            raise UserError(f"{path.name} is a hypernetwork, not an adapter, and is not read. Take a LoRA instead.")
        raise UserError(f"{path.name} is no textual inversion: it holds neither string_to_param nor an embedding.")
    known = any(map(is_kind, found))
    return [Rows(key, word if known else key, key if known else WORD, rows.detach()) for key, rows in found.items()]


def _write(path: Path, export: Export) -> None:
    from pipelines.formats._metadata import modelspec_metadata
    from trainers.tensor_files import write_tensors

    if len(export.embeddings) != 1:
        raise UserError("A textual inversion file holds one embedding; the adapter has none or several.")
    (parts,) = export.embeddings.values()
    if list(parts) == ["text_encoder"]:
        tensors = {"emb_params": export.tensor(parts["text_encoder"])}
    else:
        tensors = {key: export.tensor(parts[part]) for key, part in _WRITTEN.items() if part in parts}
    write_tensors(path, tensors, modelspec_metadata(export, tensors, kind="textual-inversion"))


FORMAT = Format(
    name="textual_inversion",
    title="textual inversion",
    recognise=_recognise,
    read=_read,
    write=_write,
    kinds=frozenset({"embedding"}),
    order=40,
)
