"""ComfyUI's own names: ``diffusion_model.<original path>``, ``text_encoders.clip_l.transformer.<path>``, with dots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.formats._format import Export, Format, Found
from pipelines.formats._names import ModuleNames, Place, comfyui_name
from pipelines.formats.kohya import layer_tensors, writes_alphas
from trainers.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.formats._source import Source

_ROOTS = ("diffusion_model.", "model.diffusion_model.", "text_encoders.")


def _recognise(source: Source) -> bool:
    return any(key.startswith(_ROOTS) for key in source.tensors)


def _read(source: Source, names: ModuleNames) -> Found:
    from pipelines.formats._layered_file import read_layers

    return read_layers(source, names)


def _write(path: Path, export: Export) -> None:
    from pipelines.formats._metadata import kohya_metadata
    from trainers.tensor_files import write_tensors

    assert export.names is not None  # asked for in the record
    tensors: dict[str, Tensor] = {}
    for part, layers in export.layers.items():
        for module, layer in layers.items():
            try:
                name = comfyui_name(Place(part, module), export.names)
            except KeyError as error:
                raise UserError(f"The module {part}/{module} has no name in the original code.") from error
            tensors |= layer_tensors(layer, name, export, alpha=writes_alphas(export) or layer.kind != "lora")
    write_tensors(path, tensors, kohya_metadata(export, tensors))


FORMAT = Format(
    name="comfyui",
    title="ComfyUI's own names",
    recognise=_recognise,
    read=_read,
    write=_write,
    kinds=frozenset({"lora", "dora", "dora_input", "loha", "lokr", "full"}),
    needs_names=lambda card: True,
    reader="comfyui",
    order=25,
)
