"""``studio convert``: turn an adapter file into another format, without the library."""

import argparse

from studio.cli.command import Command, add_base
from studio.cli.commands._dora import add_dora_norm
from studio.cli.commands.export import add_writing, say, told
from studio.cli.matches import counted
from trainers.paths import path_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="IN", help="file or folder to read")
    parser.add_argument("out", metavar="OUT", help="file or folder to write")
    add_writing(parser)
    parser.add_argument(
        "--allow-unmatched", action="store_true", help="convert although the base has no module for some of the names"
    )
    add_dora_norm(parser)
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
        allow_unmatched=options.allow_unmatched,
        dora_norm=options.dora_norm,
        reader_name=options.reader,
        allow_unread=options.allow_unread,
        precision=options.save_as,
        rank=options.rank,
        say=say,
    )
    for line in [
        *counted(imported.format.title, imported.matched, imported.unmatched, base.name),
        *(f"Note: {note}" for note in imported.notes),
        *told(out, exported),
    ]:
        print(line)


COMMAND = Command("convert", "Turn an adapter file into another format.", _add_arguments, _run)
