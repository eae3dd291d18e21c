"""``studio export``: write an adapter for other programs, and prove the file."""

import argparse
from pathlib import Path

from studio.commands._command import Command, add_library, library_of
from studio.porting import WRITABLE, export_adapter
from trainers.paths import path_of
from trainers.wording import count_of

_MUCH_LOST = 0.001
"""The share of a module's delta that rounding may take before the number format is worth a word."""


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Add the options of writing a file for other programs."""
    parser.add_argument("--format", required=True, help=", ".join(WRITABLE))
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
        precision=options.save_as,
        rank=options.rank,
    )
    if find_format(options.format).merge is not None:
        print(f"Merged {count_of(exported.modules, 'module')}; rounding took up to {exported.error:.2%} of a delta.")
        if exported.error > _MUCH_LOST and options.save_as != "fp32":
            print("--save-as fp32 keeps the deltas whole, in a file that may be twice as large.")
        print(out)
        return
    for line in told(out, exported.modules, exported.error, exported.notes):
        print(line)


def told(out: Path, modules: int, error: float, notes: object) -> list[str]:
    """Return what was written and how exactly."""
    lines = [f"Note: {note}" for note in (notes if isinstance(notes, tuple | list) else ())]
    return [
        *lines,
        f"{count_of(modules, 'module')} read back and compared with the adapter in float64: largest error {error:.1e}.",
        f"{out}",
    ]


COMMAND = Command("export", "Write an adapter for other programs, and prove the file.", _add_arguments, _run)
