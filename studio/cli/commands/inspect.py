"""``studio inspect``: what one adapter changes, or where two fight, from their factors alone."""

import argparse
from pathlib import Path

from studio.cli.command import Command, add_library, library_of
from studio.operations.layer_tables import add_layers
from trainers.errors import UserError
from trainers.paths import path_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("adapters", nargs="+", metavar="NAME", help="one adapter, or two")
    parser.add_argument("--out", metavar="FILE", help="PNG file of the heat map by block")
    parser.add_argument("--base", help="base model for norms (else the pocket base, if the adapters are of it)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument("--precision", default="auto", help="auto (default), fp32, bf16 or fp16")
    add_layers(parser)
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    if len(options.adapters) > 2:
        raise UserError(f"{len(options.adapters)} adapters are given; one is measured, or two are compared.")
    if options.out and Path(options.out).suffix.lower() != ".png":
        raise UserError(f"--out {options.out!r} must be a .png file.")

    from pipelines.image_file import png_bytes
    from studio.operations.inspect_adapters import inspect_adapters, open_base
    from trainers.storage import write_bytes

    library = library_of(options)
    adapters = [library.read(name) for name in options.adapters]
    base = open_base(adapters, options.base, options.device, options.precision)
    found = inspect_adapters(options.adapters, adapters, base, every_layer=options.layers)
    print("\n".join([*found.lines, *found.notes]))
    if options.out:
        out = path_of(options.out)
        write_bytes(out, png_bytes(found.picture))
        print(f"Heat map: {out}")


COMMAND = Command("inspect", "Measure one adapter, or where two fight, before rendering.", _add_arguments, _run)
