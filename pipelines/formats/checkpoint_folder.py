"""A whole model in diffusers layout, with the adapter added into its weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipelines.formats._format import Export, Format
from trainers.card import AdapterCard
from trainers.errors import UserError
from trainers.storage import new_folder

_COPIED = (".json", ".txt", ".model")
_INDEX = "model_index.json"
_LICENCES = ("license", "licence", "notice")
_ABOUT_THE_BASE = ("readme", "metrics", "training", "trainer_state")
"""In the names of files that tell how the base came to be, which is not how the merged model did."""


def _merge(path: Path, export: Export) -> float:
    from pipelines.formats._checkpoint import Merge
    from pipelines.weight_files import weight_files
    from trainers.tensor_files import write_tensors

    base = export.base_folder
    if base is None or not (base / _INDEX).is_file():
        raise UserError("A merged folder can only be made of a base in diffusers layout.")
    merge = Merge(export)
    with new_folder(path) as temporary:
        for file in sorted(base.rglob("*")):
            here = file.relative_to(base)
            if file.is_file() and _belongs(here):
                (temporary / here).parent.mkdir(exist_ok=True)
                shutil.copyfile(file, temporary / here)
        for component in sorted({file.parent for file in base.glob("*/*.safetensors")}):
            for file in weight_files(component):
                tensors = {key: tensor for key, _, _, tensor in merge.tensors(file, component.name)}
                write_tensors(temporary / component.name / file.name, tensors, {"format": "pt"})
        loss = merge.finish()
        (temporary / "README.md").write_text(readme_of(export.card), encoding="utf-8")
        return loss


def _belongs(file: Path) -> bool:
    """Return whether a file of the base, relative to its folder, is one of the merged model's too."""
    name = file.name.lower()
    if len(file.parts) == 1:
        return name == _INDEX or name.startswith(_LICENCES)
    return len(file.parts) == 2 and file.suffix in _COPIED and not any(word in name for word in _ABOUT_THE_BASE)


def readme_of(card: AdapterCard) -> str:
    """Return what a merged model is made of, as its readme says it."""
    parents = card.recipe.parents if card.recipe is not None else ()
    lines = [f"- {parent.name}, weight {parent.weight:g}" for parent in parents] or [f"- {card.name}, weight 1"]
    how = f" by the blend {card.recipe.blend!r}" if card.recipe is not None else ""
    licence = f"\nLicence of the adapters: {card.licence}\n" if card.licence else ""
    return (
        f"# {card.name}\n\nThe base {card.base.name} with these adapters added{how}:\n\n"
        + "\n".join(lines)
        + "\n"
        + licence
    )


FORMAT = Format(
    name="checkpoint_folder",
    title="merged model in diffusers layout",
    recognise=lambda source: False,
    merge=_merge,
    is_folder=True,
    needs_names=lambda card: True,
)
