"""Measure every method on the text encoder, on the UNet and on both: what it learns in equal steps, and what it costs.

    python benchmarks/methods.py --json cells.jsonl --table benchmarks/results/methods.md
    python benchmarks/methods.py --methods lora,ia3 --parts unet --learning-rates 1,3,10 --json tuning.jsonl
    python benchmarks/methods.py --json cells.jsonl --jobs-of 1/4 &      # a quarter of the cells, and so on
    python benchmarks/methods.py --json cells.jsonl --table methods.md --only-table

A cell is one method on one choice of parts. It trains on a shipped style with the method's recommended settings and is
scored on unseen prompts (`measuring.Meter`). Each finished cell is one line of the JSON file; run again, it goes on
where it stopped and tries failed cells once more. `--learning-rates` multiplies the recommended rates, to tune them.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from measuring import STYLES, add_measuring_options, circumstances
from method_cells import PARTS, Bench, Cell
from methods_table import as_markdown, read_cells, read_lessons

from trainers.config import RunConfig
from trainers.errors import UserError
from trainers.methods import methods


def cells_of(options: argparse.Namespace) -> list[Cell]:
    """Return the cells that the options ask for, in the registry's order, the share of this process alone."""
    settings = json.dumps(dict(options.set), sort_keys=True)
    measured = (options.steps, options.seed, options.pictures, options.sampling_steps, settings)
    found = [
        Cell(options.style, name, parts, factor, *measured)
        for name in options.methods or methods()
        for parts in options.parts
        for factor in options.learning_rates
        if set(PARTS[parts]) <= set(methods()[name].parts)
    ]
    number, processes = options.jobs_of
    return found[number - 1 :: processes]


def remaining(cells: Sequence[Cell], path: Path | None) -> Iterator[Cell]:
    """Yield the cells that have no figures yet."""
    done = [] if path is None else [line for line in read_cells(path) if "error" not in line]
    known = [{key: line.get(key) for key in Cell.__dataclass_fields__} for line in done]
    yield from (cell for cell in cells if asdict(cell) not in known)


def sentence(error: Exception) -> str:
    """Return an error as one line."""
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def main() -> int:
    """Measure what is missing; write the table."""
    options = _options()
    unknown = [name for name in options.methods if name not in methods()]
    if unknown:
        print(f"Unknown methods: {', '.join(unknown)}. Known: {', '.join(methods())}.", file=sys.stderr)
        return 2
    lines: list[dict[str, Any]] = []
    if not options.only_table:
        cells = list(remaining(cells_of(options), options.json))
        bench = Bench(options) if cells else None
        facts = circumstances(torch.device(options.device))
        for number, cell in enumerate(cells, 1):
            assert bench is not None
            try:
                line = {**asdict(cell), **asdict(bench.measure(cell)), **facts}
                shown = f"style {line['style_score']:.2f}, nouns {line['noun_right']:.0%}, {line['seconds']:.0f} s"
            except Exception as error:  # the other cells are still to be measured
                line = {**asdict(cell), "error": sentence(error), **facts}
                shown = line["error"]
            print(f"{number}/{len(cells)} {cell.method} on {cell.parts} ×{cell.rate_factor:g}: {shown}", flush=True)
            lines.append(line)
            if options.json:
                with open(options.json, "a", encoding="utf-8") as stream:  # one write per line: processes may share it
                    stream.write(json.dumps(line) + "\n")
        if bench is not None:
            bench.close()
    if options.table:
        table = as_markdown(read_cells(options.json) if options.json else lines, read_lessons(options.table))
        options.table.write_text(table, encoding="utf-8")
        print(table)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", type=_words, default=[], metavar="A,B", help="default: the whole registry")
    parser.add_argument("--parts", type=_words, default=list(PARTS), metavar="A,B", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--style", choices=STYLES, default="blueprint")
    parser.add_argument("--steps", type=int, default=RunConfig.model_fields["steps"].default, help="default: a run's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--learning-rates",
        type=lambda text: [float(word) for word in text.split(",")],
        default=[1.0],
        metavar="1,3,10",
        help="factors of the recommended rates; each makes a cell of its own",
    )
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the frozen base")
    add_measuring_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="add a line per cell, and skip those it has")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write Markdown tables of the JSON file")
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    parser.add_argument("--jobs-of", type=_share, default=(1, 1), metavar="K/N", help="the K-th of N shares of cells")
    options = parser.parse_args()
    if options.only_table and not (options.json and options.table):
        parser.error("--only-table needs --json and --table")
    wrong = [name for name in options.parts if name not in PARTS]
    if wrong:
        parser.error(f"unknown parts {', '.join(wrong)}; known: {', '.join(PARTS)}")
    return options


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _share(text: str) -> tuple[int, int]:
    number, _, processes = text.partition("/")
    if not (number.isdigit() and processes.isdigit() and 1 <= int(number) <= int(processes)):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2/4")
    return int(number), int(processes)


if __name__ == "__main__":
    sys.exit(main())
