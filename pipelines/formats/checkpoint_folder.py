"""A whole model in diffusers layout, with the adapter added into its weights."""

import shutil
from pathlib import Path

from pipelines.formats._checkpoint import Merge, weight_files
from pipelines.formats._format import Export, Format
from trainers.errors import UserError
from trainers.storage import new_folder, write_tensors

_COPIED = (".json", ".txt", ".model", ".md")


def _merge(path: Path, export: Export) -> float:
    base = export.base_folder
    if base is None or not (base / "model_index.json").is_file():
        raise UserError("A merged folder can only be made of a base in diffusers layout.")
    merge = Merge(export)
    with new_folder(path) as temporary:
        for file in sorted(base.rglob("*")):
            here = file.relative_to(base)
            if file.is_file() and file.suffix in _COPIED and len(here.parts) < 3:
                (temporary / here).parent.mkdir(exist_ok=True)
                shutil.copyfile(file, temporary / here)
        for component in sorted({file.parent for file in base.glob("*/*.safetensors")}):
            for file in weight_files(component):
                tensors = {key: tensor for key, _, _, tensor in merge.tensors(file, component.name)}
                write_tensors(temporary / component.name / file.name, tensors, {"format": "pt"})
        return merge.finish()


FORMAT = Format(
    name="checkpoint_folder",
    title="merged model in diffusers layout",
    recognise=lambda source: False,
    merge=_merge,
    is_folder=True,
    needs_names=lambda card: True,
)
