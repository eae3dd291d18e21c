"""``studio show``: everything about one adapter."""

import argparse
import math

from studio.cli.command import Command, add_library, library_of
from studio.library.library import adapter_size_bytes
from studio.runs.step_cost import size
from trainers.card import TENSORS_NAME, part_folder, read_card
from trainers.tensor_shapes import read_shapes
from trainers.wording import count_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="adapter in the library, or a path")
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    folder = library_of(options).find(options.name)
    card = read_card(folder)
    facts = {
        "folder": str(folder),
        "size": size(adapter_size_bytes(folder)),
        "made": card.created,
        "base": f"{card.base.name} ({card.base.family}, {card.base.fingerprint[:12]})",
        "triggers": ", ".join(card.triggers) or "none",
    }
    for part, plan in card.parts.items():
        shapes = read_shapes(part_folder(folder, part) / TENSORS_NAME, "adapter file")
        values = sum(math.prod(shape) for shape in shapes.values())
        settings = ", ".join(f"{key} {_plain(value)}" for key, value in plan.settings.items() if value is not None)
        facts[part] = f"{plan.method}, {count_of(len(shapes), 'tensor')}, {count_of(values, 'value')}; {settings}"
    for key in ("pictures", "rows"):
        if isinstance(count := card.data.get(key), int):
            facts["data"] = count_of(count, key.removesuffix("s"))
    if card.training:
        facts["training"] = ", ".join(
            f"{key} {_plain(card.training[key])}" for key in ("steps", "batch_size", "seed") if key in card.training
        )
    if card.recipe is not None:
        facts["recipe"] = f"{card.recipe.blend}: {card.recipe.formula()}"
    facts["versions"] = ", ".join(f"{name} {number}" for name, number in card.versions.items())
    width = max(len(key) for key in facts)
    print(card.name)
    for key, value in facts.items():
        print(f"  {key.ljust(width)}  {value}")


def _plain(value: object) -> str:
    return "+".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)


COMMAND = Command("show", "Show everything about one adapter.", _add_arguments, _run, loads=False)
