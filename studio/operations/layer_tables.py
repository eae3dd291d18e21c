"""Layers as lines on a terminal: one line for each block, or for each layer where that is asked for."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipelines.blocks import Located, by_block

Item = TypeVar("Item", bound=Located)


@dataclass(frozen=True)
class Column(Generic[Item]):
    """One column: what is written for several layers together; a layer's own line is that of it alone."""

    title: str
    text: Callable[[Sequence[Item]], str]


def add_layers(parser: argparse.ArgumentParser) -> None:
    """Add the option that asks for every layer's line."""
    parser.add_argument("--layers", action="store_true", help="print a line for each layer, not for each block")


def layer_table(items: Sequence[Item], columns: Sequence[Column[Item]], *, every_layer: bool) -> list[str]:
    """Return the lines of a table, the head first.

    Args:
        every_layer: one line for each layer instead of each block.
    """
    groups = by_block(items)
    if every_layer:
        head = ["layer", *(column.title for column in columns)]
        rows = [[f"{item.part} {item.layer}", *(column.text([item]) for column in columns)] for item in items]
    else:
        head = ["block", "layers", *(column.title for column in columns)]
        rows = [[block, str(len(own)), *(column.text(own) for column in columns)] for block, own in groups.items()]
    lines = _aligned([head, *rows])
    return lines if every_layer or len(groups) == len(items) else [*lines, "--layers prints a line for each layer."]


def span(values: Iterable[int]) -> str:
    """Return whole numbers as their smallest and largest: ``4`` or ``2–8``."""
    found = sorted(set(values))
    return f"{found[0]}–{found[-1]}" if len(found) > 1 else "".join(map(str, found))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if number == 0 else text.rjust(width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
