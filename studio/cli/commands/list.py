"""``studio list``: the adapters of the library."""

import argparse
from pathlib import Path

from studio.cli.command import Command, add_library, library_of
from studio.library.library import adapter_size_bytes
from studio.runs.run import Run
from studio.runs.step_cost import size
from trainers.card import AdapterCard, read_card
from trainers.errors import UserError


def _run(options: argparse.Namespace) -> None:
    library = library_of(options)
    rows, broken = [], []
    for name, folder in library.adapters().items():
        try:
            rows.append(_row(name, folder))
        except UserError as error:
            broken.append(f"adapter {name}: broken: {error}")
    if rows:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    elif not broken:
        print(f"No adapters in {library.folder} yet. Train one with 'studio train', or see 'studio demo'.")
    print("\n".join(broken), end="\n" if broken else "")
    for name, folder in library.runs().items():
        try:
            state = Run(folder, library).state()
        except UserError as error:
            print(f"run {name}: broken: {error}")
            continue
        if state.get("status") != "done":
            print(f"run {name}: {state.get('status')}, step {state.get('step', 0)} of {state.get('total', 'unknown')}")


def _row(name: str, folder: Path) -> tuple[str, ...]:
    card = read_card(folder)
    return (
        name,
        _made(card),
        card.base.name,
        size(adapter_size_bytes(folder)),
        card.created[:10],
    )


def _made(card: AdapterCard) -> str:
    if card.recipe is not None:
        return card.recipe.formula()
    return ", ".join(f"{part}: {plan.method}" for part, plan in card.parts.items())


COMMAND = Command("list", "List the adapters of the library.", add_library, _run, loads=False)
