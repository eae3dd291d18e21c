"""``studio extract``: what a fine-tuned model learned, as an adapter of the model that it came from."""

import argparse

from studio.cli.command import Command, add_base, add_library, library_of
from studio.cli.commands.resize import add_size, table
from studio.operations.layer_tables import add_layers
from trainers.errors import UserError
from trainers.paths import path_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tuned", help="the fine-tuned model: a folder in diffusers layout, or a hub id")
    parser.add_argument("--name", required=True, help="name of the adapter in the library")
    add_size(parser)
    parser.add_argument("--full", action="store_true", help="keep the whole difference, norms and biases too")
    add_layers(parser)
    add_base(parser)
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    if path_of(options.tuned).is_file():
        raise UserError(
            f"{options.tuned} is a single file; studio extract takes a folder in diffusers layout (model_index.json), "
            "which diffusers' conversion scripts make of one."
        )
    folder = library_of(options).new_adapter_folder(options.name)

    from pipelines.bases import load_base
    from pipelines.resizing import Wish, extract
    from trainers.adapter import write_adapter

    if options.full and (options.rank or options.energy or options.error):
        raise UserError("--full keeps everything; give it without --rank, --energy and --error.")
    wish = None if options.full else Wish(options.rank, options.energy, options.error)
    tuned, base = (load_base(name, device="cpu", precision="fp32") for name in (options.tuned, options.base))
    adapter, told, left = extract(tuned, base, options.name, wish)
    write_adapter(folder, adapter)
    for line in table(told, every_layer=options.layers) if told else []:
        print(line)
    if left:
        print(f"Left out: {len(left)} norms and biases, which LoRA cannot hold ({left[0]} …); --full keeps them.")
    print(f"The adapter {options.name!r} is ready: {folder}")


COMMAND = Command("extract", "Make an adapter of what a fine-tuned model learned.", _add_arguments, _run)
