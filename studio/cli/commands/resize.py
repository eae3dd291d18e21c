"""``studio resize``: an adapter as LoRA of another rank, with the loss of every layer known."""

import argparse
from collections.abc import Sequence
from typing import Any

from studio.cli.command import Command, add_library, library_of
from studio.operations.layer_tables import Column, add_layers, layer_table, span
from trainers.wording import count_of


def add_size(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how large a LoRA may be."""
    parser.add_argument("--rank", type=int, metavar="N", help="the same rank everywhere")
    parser.add_argument(
        "--energy", type=float, metavar="SHARE", help="share of Σσ² that every layer keeps, such as 0.99"
    )
    parser.add_argument("--error", type=float, metavar="SHARE", help="largest ‖lost‖ / ‖ΔW‖ of a layer, such as 0.02")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("adapter", help="adapter in the library, or a path")
    parser.add_argument("--name", required=True, help="name of the new adapter in the library")
    add_size(parser)
    parser.add_argument("--base", help="the adapter's base, where it is no plain LoRA and not on the pocket base")
    add_layers(parser)
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    library = library_of(options)
    folder = library.new_adapter_folder(options.name)
    adapter = library.read(options.adapter)

    from pipelines.bases import load_base, shipped_base_of
    from pipelines.resizing import Wish, resize
    from trainers.adapter import write_adapter

    wish = Wish(options.rank, options.energy, options.error)
    plain = all(
        part.config.get("peft_type") == "LORA" and not part.config.get("use_dora") for part in adapter.parts.values()
    )
    name = options.base or (None if plain else shipped_base_of([adapter.card.base.name]))
    base = load_base(name, device="cpu", precision="fp32") if name else None
    made, told = resize(adapter, wish, options.name, base)
    write_adapter(folder, made)
    for line in table(told, every_layer=options.layers):
        print(line)
    print(f"The adapter {options.name!r} is ready: {folder}")


def table(rows: Sequence[Any], *, every_layer: bool) -> list[str]:
    """Return the ranks and losses by block or by layer as lines; a block's loss is its worst layer's."""
    columns = [
        Column[Any]("before", lambda own: span(row.before for row in own if row.before)),
        Column[Any]("rank", lambda own: span(row.after for row in own)),
        Column[Any]("lost", lambda own: f"{100 * max(row.error for row in own):.2f}%"),
    ]
    worst = max(rows, key=lambda row: row.error)
    said = f"{count_of(len(rows), 'layer')}; the most is lost in {worst.part}/{worst.layer}: {100 * worst.error:.2f} %."
    return [*layer_table(rows, columns, every_layer=every_layer), said]


COMMAND = Command("resize", "Give an adapter another rank, with the loss of every layer.", _add_arguments, _run)
