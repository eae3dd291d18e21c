"""``studio import``: bring an adapter from another program into the library."""

import argparse
import re
from pathlib import Path

from studio.commands._command import Command, add_base, add_library, library_of
from studio.commands._matches import counted


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="FILE|FOLDER", help="a .safetensors file, an embedding's .pt, or a PEFT folder")
    parser.add_argument("--name", help="name in the library (else the file's own)")
    parser.add_argument(
        "--allow-unmatched", action="store_true", help="import although the base has no module for some of the names"
    )
    add_base(parser)
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    path = Path(options.path).expanduser()
    library = library_of(options)
    folder = library.new_adapter_folder(options.name or usable_name(path))

    from pipelines.bases import load_base
    from pipelines.importing import bring_in
    from trainers.adapter import write_adapter

    base = load_base(options.base, device=options.device, precision=options.precision)
    imported = bring_in(path, base, folder.name, allow_unmatched=options.allow_unmatched)
    folders = {name: library.new_adapter_folder(name) for name in imported.adapters}
    for line in counted(imported.format.title, imported.matched, imported.unmatched, base.name):
        print(line)
    for note in imported.notes:
        print(f"Note: {note}")
    for name, adapter in imported.adapters.items():
        write_adapter(folders[name], adapter)
        made = ", ".join(f"{part}: {card.method}" for part, card in adapter.card.parts.items())
        print(f"The adapter {name!r} is ready ({made}): {folders[name]}")


def usable_name(path: Path) -> str:
    """Return a file's name with everything that a name in the library cannot hold as ``-``."""
    stem = path.stem if path.suffix.lower() in (".safetensors", ".pt", ".bin") else path.name
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip(".-")[:100] or "imported"


COMMAND = Command("import", "Bring an adapter from another program into the library.", _add_arguments, _run)
