"""Textual inversion: the learned embedding of a new word, one row per token that it takes.

Read: ``emb_params`` [n, d] (kohya, A1111), one key that is the word itself (diffusers), ``clip_l`` and ``clip_g``
(SDXL), and A1111's and diffusers' old pickled files through torch's weights-only reader. Written: ``emb_params``, which
all of them read, diffusers with ``load_textual_inversion(file, token="<word>")``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pipelines.formats._format import Export, Format, Found
from pipelines.formats._leaves import split_key
from pipelines.formats._metadata import modelspec_metadata
from pipelines.formats._names import ModuleNames
from pipelines.formats._source import Source, check_tensors
from trainers.errors import UserError
from trainers.tensor_files import write_tensors

_PART_OF = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
_LIMIT_TOKENS = 64


def _recognise(source: Source) -> bool:
    if source.pickled is not None:
        return True
    keys = set(source.tensors)
    if keys == {"emb_params"} or (keys and keys <= _PART_OF.keys()):
        return True
    return len(keys) == 1 and all(split_key(key) is None and source.tensors[key].ndim < 3 for key in keys)


def _read(source: Source, names: ModuleNames) -> Found:
    token, tensors = _embedding(source)
    check_tensors(source.path, tensors)
    parts = embedding_parts(source.path.name, tensors, names)
    unmatched = [key for key in tensors if _PART_OF.get(key, "text_encoder") not in parts]
    return Found(
        embeddings={usable_token(token): parts} if parts else {}, unmatched=unmatched, metadata=source.metadata
    )


def usable_token(word: str) -> str:
    """Return a word's name as adapters call it: letters, digits, ``_``, ``-`` and ``.``, without brackets."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", word).strip("-._")[:39] or "new"


def embedding_parts(what: str, own: Mapping[str, Tensor], names: ModuleNames) -> dict[str, Tensor]:
    """Return part -> rows [n, d] of an embedding's tensors.

    Raises:
        UserError: rows are of another width than the base's words.
    """
    widths = {
        place.part: module._parameters["weight"].shape[1]
        for place, module in names.hosts.items()
        if place.path.endswith("token_embedding") and module._parameters["weight"] is not None
    }
    found: dict[str, Tensor] = {}
    for key, tensor in own.items():
        part = _PART_OF.get(key, "text_encoder")
        if part not in widths:
            continue
        rows = tensor.reshape(1, -1) if tensor.ndim == 1 else tensor
        if rows.ndim != 2 or rows.shape[1] != widths[part] or len(rows) > _LIMIT_TOKENS:
            raise UserError(
                f"The embedding {key!r} of {what} is {list(tensor.shape)}; the base's words have {widths[part]} values "
                f"each, and up to {_LIMIT_TOKENS} rows are read. Give its own base with --base."
            )
        found[part] = rows
    return found


def _embedding(source: Source) -> tuple[str, dict[str, Tensor]]:
    """Return the word and its tensors."""
    if source.pickled is not None:
        return _old_embedding(source.path, source.pickled)
    tensors = dict(source.tensors)
    (first, *_) = tensors
    return (source.path.stem if first in ("emb_params", *_PART_OF) else first), tensors


def _old_embedding(path: Path, content: Any) -> tuple[str, dict[str, Tensor]]:
    values = content if isinstance(content, dict) else {}
    word, rows = values.get("name") or path.stem, values.get("string_to_param")
    rows = rows.get("*") if isinstance(rows, dict) else None
    if rows is None and len(values) == 1:
        ((word, rows),) = values.items()
    if not isinstance(rows, Tensor):
        raise UserError(f"{path.name} is no textual inversion: it holds neither string_to_param nor one embedding.")
    return str(word), {"emb_params": rows.detach()}


def _write(path: Path, export: Export) -> None:
    if len(export.embeddings) != 1:
        raise UserError("A textual inversion file holds one embedding; the adapter has none or several.")
    (parts,) = export.embeddings.values()
    if list(parts) == ["text_encoder"]:
        tensors = {"emb_params": export.tensor(parts["text_encoder"])}
    else:
        tensors = {key: export.tensor(parts[part]) for key, part in _PART_OF.items() if part in parts}
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
