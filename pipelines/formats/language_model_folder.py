"""A whole language model in transformers layout, with the adapter added into its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pipelines.formats._format import Export, Format
from pipelines.formats.checkpoint_folder import readme_of
from trainers.errors import UserError
from trainers.storage import new_folder, write_json

_PART = "language_model"
_COPIED = (".json", ".txt", ".model", ".jinja")
_LICENCES = ("license", "licence", "notice")
_NOT_COPIED = ("readme", "metrics", "training", "trainer_state", "adapter")
_PREFIXES = ("", "transformer.", "model.")
"""What a file of the bare model lacks before its paths, such as the first GPT-2 files."""


def _merge(path: Path, export: Export) -> float:
    from pipelines.formats._checkpoint import Merge
    from pipelines.weight_files import weight_files
    from trainers.tensor_files import write_tensors

    base = export.base_folder
    if base is None or not (base / "config.json").is_file() or _PART not in export.layers:
        raise UserError("A merged language model can only be made of a language model's adapter and its base's folder.")
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    _refuse_tied(export)
    merge = Merge(export)
    with new_folder(path) as temporary:
        for file in sorted(base.iterdir()):
            if file.is_file() and _belongs(file.name.lower()):
                shutil.copyfile(file, temporary / file.name)
        for file in weight_files(base):
            tensors = {key: tensor for key, _, _, tensor in merge.tensors(file, _PART, _PREFIXES)}
            write_tensors(temporary / file.name, tensors, {"format": "pt"})
        loss = merge.finish()
        if export.dtype is not None:  # else the model would be loaded in the base's number format again
            kept = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
            write_json(temporary / "config.json", {**kept, "dtype": str(export.dtype).removeprefix("torch.")})
        (temporary / "README.md").write_text(readme_of(export.card), encoding="utf-8")
        return loss


def _belongs(name: str) -> bool:
    """Return whether a file of the base, by its name in small letters, is one of the merged model's too."""
    if name.startswith(_LICENCES):
        return True
    return name.endswith(_COPIED) and not any(word in name for word in _NOT_COPIED)


def _refuse_tied(export: Export) -> None:
    """Refuse to change one of two layers of the live model that share a tensor: the other would change too."""
    assert export.names is not None
    weights = {place.path: host._parameters["weight"] for place, host in export.names.hosts.items()}
    for path in export.layers[_PART]:
        other = next((name for name, own in weights.items() if name != path and own is weights[path]), None)
        if other is not None:
            raise UserError(
                f"{export.card.name!r} changes {path}, which shares its weights with {other} of the base, so a merged "
                "file cannot hold it. Leave the adapter attached."
            )


FORMAT = Format(
    name="language_model_folder",
    title="merged language model in transformers layout",
    recognise=lambda source: False,
    merge=_merge,
    is_folder=True,
    needs_names=lambda card: True,
)
