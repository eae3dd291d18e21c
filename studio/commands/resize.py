"""``studio resize``: an adapter as LoRA of another rank, with the loss of every layer known."""

import argparse
from collections.abc import Sequence
from typing import Any

from studio.commands._command import Command, add_library, library_of


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
    for line in table(told):
        print(line)
    print(f"The adapter {options.name!r} is ready: {folder}")


def table(rows: Sequence[Any]) -> list[str]:
    """Return the layers' ranks and losses as lines."""
    lines = [f"{'part':<14} {'layer':<72} {'before':>6} {'rank':>5} {'lost':>8}"]
    for row in rows:
        lines.append(
            f"{row.part:<14} {row.path[-72:]:<72} {row.before or '':>6} {row.after:>5} {100 * row.error:7.2f}%"
        )
    worst = max(rows, key=lambda row: row.error)
    return [*lines, f"{len(rows)} layers; the most is lost in {worst.part}/{worst.path}: {100 * worst.error:.2f} %."]


COMMAND = Command("resize", "Give an adapter another rank, with the loss of every layer.", _add_arguments, _run)
