"""Measure every method on the text encoder, on the UNet and on both: what it learns in equal steps, and what it costs.

    python examples/benchmark_methods.py --json cells.jsonl --table examples/results/methods.md
    python examples/benchmark_methods.py --methods lora,ia3 --parts unet --learning-rates 1,3,10 --json tuning.jsonl
    python examples/benchmark_methods.py --json cells.jsonl --jobs-of 1/4 &      # a quarter of the cells, and so on
    python examples/benchmark_methods.py --json cells.jsonl --table methods.md --only-table

A cell is one method on one choice of parts. It trains on a shipped style with the method's recommended settings and is
scored on unseen prompts (`measuring.Meter`). Each finished cell is one line of the JSON file; run again, it goes on
where it stopped and tries failed cells once more. `--learning-rates` multiplies the recommended rates, to tune them.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from measuring import STYLES, STYLES_FOLDER, Meter, add_measuring_options, circumstances
from methods_table import as_markdown, read_cells
from torch import Tensor

from pipelines.attach import Attachments, attached
from pipelines.bases import load_base
from pipelines.families import LoadedBase
from pipelines.judge import Judge
from trainers.adapter import Adapter, AdapterCard, BaseCard, PartCard, read_adapter, write_adapter
from trainers.config import RunConfig, parse_config
from trainers.data.latents import Latents, encode_latents
from trainers.data.pictures import read_folder
from trainers.errors import UserError
from trainers.loop import ADAPTER, begin, train, trained_parts
from trainers.methods import _peft_bridge as bridge
from trainers.methods import methods

PARTS: Mapping[str, tuple[str, ...]] = {
    "text_encoder": ("text_encoder",),
    "unet": ("unet",),
    "both": ("unet", "text_encoder"),
}


@dataclass(frozen=True)
class Cell:
    """What is measured."""

    style: str
    method: str
    parts: str
    """A key of `PARTS`."""
    rate_factor: float
    """The recommended learning rates are multiplied by it."""
    steps: int
    seed: int
    pictures: int
    sampling_steps: int
    settings: str
    """Other settings of the run, as JSON."""


@dataclass(frozen=True)
class Figures:
    """What was found."""

    style_score: float
    noun_right: float
    base_noun_right: float
    last_loss: float
    """Mean of the last tenth of the steps."""
    skipped: int
    """Steps left out because their loss or gradient was not finite."""
    trainable: int
    share: float
    """Of the trained parts' parameters."""
    file_bytes: int
    """All files of the adapter's parts."""
    seconds: float
    """Of the training steps alone."""
    learning_rates: Mapping[str, float]


class Bench:
    """A base with everything that the cells have in common, made once."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._meter = Meter(
            Judge(device=options.device),
            pictures=options.pictures,
            drawings=options.drawings,
            sampling_steps=options.sampling_steps,
        )
        self._base: LoadedBase | None = None
        self._base_pictures: Tensor | None = None
        self._latents: Latents | None = None

    def measure(self, cell: Cell) -> Figures:
        """Train and score one cell.

        Raises:
            Exception: whatever the method raised; the base is then loaded anew for the next cell.
        """
        base = self._loaded()
        try:
            return self._measured(cell, base)
        except BaseException:
            self._base = None  # a failed method may have left layers behind
            raise

    def _measured(self, cell: Cell, base: LoadedBase) -> Figures:
        if self._base_pictures is None:
            self._base_pictures = self._meter.embed(self._meter.draw(Attachments(base), {}))
        config = config_of(cell, base.device)
        latents = self._encoded(config, base)
        accelerator = Accelerator(
            cpu=base.device.type == "cpu", mixed_precision="bf16" if self._options.precision == "bf16" else "no"
        )
        training = begin(config, base, latents, accelerator)
        started = time.monotonic()
        losses = [step.loss for step in train(training)]
        if base.device.type == "cuda":
            torch.cuda.synchronize(base.device)
        seconds = time.monotonic() - started
        adapter = Adapter(card_of(config, base), trained_parts(training), {})
        for part in config.parts:
            detach(base, part)
        trainable = sum(found.trainable for found in training.attached.values())
        total = sum(found.total for found in training.attached.values())
        with tempfile.TemporaryDirectory() as folder:
            write_adapter(Path(folder) / "it", adapter)  # scored as it is read back, like every user's
            size = sum(path.stat().st_size for path in (Path(folder) / "it").glob("*/*"))
            adapter = read_adapter(Path(folder) / "it")
        with attached(base, {"it": adapter}) as attachments:
            found = self._meter.embed(self._meter.draw(attachments, {"it": 1.0}))
        tail = losses[-max(1, len(losses) // 10) :]
        return Figures(
            style_score=self._meter.style_score(cell.style, found, self._base_pictures),
            noun_right=self._meter.noun_right(found),
            base_noun_right=self._meter.noun_right(self._base_pictures),
            last_loss=sum(tail) / len(tail),
            skipped=training.skipped,
            trainable=trainable,
            share=trainable / total,
            file_bytes=size,
            seconds=seconds,
            learning_rates={part: config.step_size(part) for part in config.parts},
        )

    def _loaded(self) -> LoadedBase:
        if self._base is None:
            self._base = load_base("pocket", device=self._options.device, precision=self._options.precision)
        return self._base

    def _encoded(self, config: RunConfig, base: LoadedBase) -> Latents:
        if self._latents is None:
            pictures = read_folder(Path(config.data)).pictures
            size_px = config.resolution_px or base.resolution_px
            *_, (_, self._latents) = encode_latents(base, pictures, size_px=size_px, flip=config.flip)
        assert self._latents is not None
        return self._latents


def detach(base: LoadedBase, part: str) -> None:
    """Take the trained adapter off a part."""
    bridge.detach(base.parts[part], ADAPTER)
    bridge.set_weights(base.parts[part], {})


def config_of(cell: Cell, device: torch.device) -> RunConfig:
    """Return the run's settings, with every learning rate written out."""
    plans = {}
    for part in PARTS[cell.parts]:
        rate = methods()[cell.method].recommended[part].learning_rate * cell.rate_factor
        plans[part] = {"method": cell.method, "learning_rate": rate}
    return parse_config(
        {
            "data": str(STYLES_FOLDER / cell.style),
            "name": "cell",
            "parts": plans,
            "steps": cell.steps,
            "seed": cell.seed,
            "device": str(device),
            **json.loads(cell.settings),
        }
    )


def card_of(config: RunConfig, base: LoadedBase) -> AdapterCard:
    """Return the card that the adapter is written with."""
    return AdapterCard(
        name=config.name,
        base=BaseCard(name=base.name, family=base.family, fingerprint=base.fingerprint, widths=dict(base.widths)),
        parts={part: PartCard(method=plan.method, settings=plan.settings) for part, plan in config.parts.items()},
    )


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
    if options.table:
        table = as_markdown(read_cells(options.json) if options.json else lines)
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
