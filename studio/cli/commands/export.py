"""``studio export``: write an adapter for other programs, and prove the file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from studio.cli.command import Command, add_library, library_of
from studio.operations.import_export import READERS, WRITABLE, export_adapter
from trainers.paths import path_of
from trainers.wording import count_of

if TYPE_CHECKING:
    from pipelines.export_writing import Exported

_MUCH_LOST = 0.001
"""The share of a module's delta that rounding may take before the number format is worth a word."""


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Add the options of writing a file for other programs."""
    parser.add_argument(
        "--for",
        dest="reader",
        metavar="PROGRAM",
        help=f"the program that is to read the file ({', '.join(READERS)}): written as it must find it, and proven so",
    )
    parser.add_argument("--format", help=f"{', '.join(WRITABLE)} (with --for: what the program reads best)")
    parser.add_argument(
        "--allow-unread",
        action="store_true",
        help="with --for: write the file although the program will not apply all of it",
    )
    parser.add_argument(
        "--save-as",
        choices=("fp32", "fp16", "bf16"),
        help="number format in the file (default fp32; for merged models the base's own)",
    )
    parser.add_argument(
        "--rank", type=int, metavar="N", help="write what the format has no form for as LoRA of rank N, with the loss"
    )


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="adapter in the library, or a path")
    parser.add_argument("--out", required=True, metavar="PATH", help="file (or folder, as the format has it) to write")
    add_writing(parser)
    parser.add_argument("--base", help="the adapter's base, where it is needed and is not the pocket base")
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    from pipelines.formats import find_format

    out = path_of(options.out)
    exported = export_adapter(
        library_of(options),
        options.name,
        options.format,
        out,
        base_name=options.base,
        reader_name=options.reader,
        allow_unread=options.allow_unread,
        precision=options.save_as,
        rank=options.rank,
        say=say,
    )
    if options.format is not None and find_format(options.format).merge is not None:
        print(f"Merged {count_of(exported.modules, 'module')}; rounding took up to {exported.error:.2%} of a delta.")
        if exported.error > _MUCH_LOST and options.save_as != "fp32":
            print("--save-as fp32 keeps the deltas whole, in a file that may be twice as large.")
        print(out)
        return
    for line in told(out, exported):
        print(line)


def say(exported: "Exported") -> None:
    """Print what will not be as the adapter has it, before the file takes its place."""
    for note in exported.told:
        print(f"Note: {note}", flush=True)


def told(out: Path, exported: "Exported") -> list[str]:
    """Return what was written and how exactly."""
    compared = f"{count_of(exported.modules, 'module')} read back and compared with the adapter in float64"
    lines = [f"{compared}: largest error {exported.error:.1e}."]
    for own in exported.judged:
        if own.is_whole:
            lines.append(
                f"Held against the rule of {own.reader.title} on this base: {count_of(own.total, 'module')} applied as "
                f"meant, largest error {own.error:.1e}."
            )
    return [*lines, f"{out}"]


COMMAND = Command("export", "Write an adapter for other programs, and prove the file.", _add_arguments, _run)
