"""``studio import``: bring an adapter from another program into the library."""

import argparse

from studio.cli.command import Command, add_base, add_library, library_of
from studio.cli.commands._dora import add_dora_norm
from studio.cli.matches import counted
from studio.operations.import_export import import_adapter, name_from
from trainers.paths import path_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="FILE|FOLDER", help="a .safetensors file, an embedding's .pt, or a PEFT folder")
    parser.add_argument("--name", help="name in the library (else the file's own)")
    parser.add_argument(
        "--allow-unmatched", action="store_true", help="import although the base has no module for some of the names"
    )
    add_dora_norm(parser)
    add_base(parser)
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    path = path_of(options.path)
    library = library_of(options)
    name = options.name or name_from(path)
    library.new_adapter_folder(name)

    from pipelines.bases import load_base

    base = load_base(options.base, device=options.device, precision=options.precision)
    arrived = import_adapter(
        library, path, name, base, allow_unmatched=options.allow_unmatched, dora_norm=options.dora_norm
    )
    imported = arrived.imported
    for line in counted(imported.format.title, imported.matched, imported.unmatched, base.name):
        print(line)
    for note in imported.notes:
        print(f"Note: {note}")
    for name, adapter in imported.adapters.items():
        made = ", ".join(f"{part}: {card.method}" for part, card in adapter.card.parts.items())
        print(f"The adapter {name!r} is ready ({made}): {arrived.folders[name]}")


COMMAND = Command("import", "Bring an adapter from another program into the library.", _add_arguments, _run)
