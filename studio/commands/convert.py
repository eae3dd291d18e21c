"""``studio convert``: turn an adapter file into another format, without the library."""

import argparse

from studio.commands._command import Command, add_base
from studio.commands._matches import counted
from studio.commands.export import add_writing, told
from trainers.paths import path_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="IN", help="file or folder to read")
    parser.add_argument("out", metavar="OUT", help="file or folder to write")
    add_writing(parser)
    parser.add_argument(
        "--allow-unmatched", action="store_true", help="convert although the base has no module for some of the names"
    )
    add_base(parser)


def _run(options: argparse.Namespace) -> None:
    from pipelines.bases import load_base
    from pipelines.exporting import convert

    base = load_base(options.base, device=options.device, precision=options.precision)
    out = path_of(options.out)
    imported, exported = convert(
        path_of(options.path),
        options.format,
        out,
        base,
        precision=options.save_as,
        rank=options.rank,
        allow_unmatched=options.allow_unmatched,
    )
    notes = [*imported.notes, *exported.notes]
    for line in [
        *counted(imported.format.title, imported.matched, imported.unmatched, base.name),
        *told(out, exported.modules, exported.error, notes),
    ]:
        print(line)


COMMAND = Command("convert", "Turn an adapter file into another format.", _add_arguments, _run)
