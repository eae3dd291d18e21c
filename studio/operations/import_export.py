"""Adapters come into the library from other programs' files and go out to them; the command line and the app share it.

The model libraries are loaded when something is done, not when this is imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.library.library import Library
from trainers.card import CARD_NAME, read_card
from trainers.names import name_of, usable_name

if TYPE_CHECKING:
    from pipelines.export_writing import Exported
    from pipelines.families import LoadedBase
    from pipelines.importing import Imported

# The formats themselves import torch, which help and the page must not wait for; a test holds the two together.
WRITABLE = (
    "kohya",
    "diffusers",
    "comfyui",
    "peft",
    "textual_inversion",
    "checkpoint_file",
    "checkpoint_folder",
    "language_model_folder",
)
READERS: Mapping[str, str] = {
    "comfyui": "ComfyUI",
    "forge": "Forge",
    "a1111": "AUTOMATIC1111",
    "diffusers": "diffusers",
    "kohya": "kohya's scripts with LyCORIS",
    "peft": "PEFT",
}
"""The programs that a file can be written for, and what they are called."""
DORA_NORMS = ("adapted", "base")
"""What a DoRA's magnitudes stand over; see `pipelines.importing.bring_in`."""


@dataclass(frozen=True)
class Arrived:
    """What an import put into the library."""

    imported: "Imported"
    folders: Mapping[str, Path]
    """By name: one for the changes of weights, and one for each new word."""


def import_adapter(
    library: Library,
    path: Path,
    name: str,
    base: "LoadedBase",
    *,
    allow_unmatched: bool = False,
    dora_norm: str | None = None,
) -> Arrived:
    """Bring a file or folder into the library, matched against a base; the options as `bring_in` takes them.

    Raises:
        UserError: a name is taken, or as `pipelines.importing.bring_in`.
    """
    from pipelines.importing import bring_in
    from trainers.adapter import write_adapter

    library.new_adapter_folder(name)
    imported = bring_in(path, base, name, allow_unmatched=allow_unmatched, dora_norm=dora_norm)
    folders = {own: library.new_adapter_folder(own) for own in imported.adapters}
    for own, adapter in imported.adapters.items():
        write_adapter(folders[own], adapter)
    return Arrived(imported, folders)


def export_adapter(
    library: Library,
    name: str,
    format_name: str | None,
    out: Path | None,
    *,
    base_name: str | None = None,
    reader_name: str | None = None,
    **options: Any,
) -> "Exported":
    """Write an adapter for other programs; its base is loaded where it is needed, given, or shipped and worth it.

    Args:
        out: None writes nothing and only says what the programs would make of the file.
        options: as `pipelines.exporting.take_out` takes them.

    Raises:
        UserError: as `pipelines.exporting.take_out`.
    """
    from pipelines.bases import base_folder, load_base, shipped_base_of
    from pipelines.exporting import foresee, gains_by_base, needs_base, take_out

    adapter = library.read(name)
    chosen = base_name or shipped_base_of([adapter.card.base.name])
    wanted = base_name or needs_base(adapter, format_name, reader_name) or gains_by_base(adapter, format_name)
    options |= {
        "reader_name": reader_name,
        "base": load_base(chosen, device="cpu", precision="fp32") if chosen and wanted else None,
        "base_folder": base_folder(chosen) if chosen else None,
    }
    return foresee(adapter, format_name, **options) if out is None else take_out(adapter, format_name, out, **options)


def name_from(path: Path) -> str:
    """Return what an adapter's file or folder is called, with everything that no name can hold as ``-``."""
    if (path / CARD_NAME).is_file():
        return read_card(path).name
    stem = path.stem if path.suffix.lower() in (".safetensors", ".pt", ".pth", ".bin", ".ckpt") else path.resolve().name
    return usable_name(name_of(stem), "imported")
