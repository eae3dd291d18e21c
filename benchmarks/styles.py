"""Measure style training on the six shipped styles: how much of the style arrives, and whether nouns survive.

    python benchmarks/styles.py                     # all six, about 20 minutes on 2 CPU cores
    python benchmarks/styles.py --styles neon --set steps=200

For each style an adapter is trained on its 24 pictures. Then pictures are drawn for prompts of scenes that are in no
training set, with and without the adapter, from the same noise; `measuring.Meter` says what the scores mean.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from measuring import STYLES, STYLES_FOLDER, Meter, add_measuring_options, circumstances, footnote
from PIL import Image

from pipelines.attach import Attachments, attached
from pipelines.bases import load_base
from pipelines.families import LoadedBase
from pipelines.judge import Judge
from studio.library.library import Library
from studio.report import Quiet, Report, Terminal
from studio.runs.run import create_run, execute
from trainers.adapter import read_adapter
from trainers.config import parse_config


@dataclass(frozen=True)
class Row:
    """One style's figures."""

    style: str
    style_score: float
    noun_right: float
    base_noun_right: float
    training_seconds: float
    steps: int


def main() -> int:
    """Train and measure; print and write the table."""
    options = _options()
    meter = Meter(
        Judge(device=options.device),
        pictures=options.pictures,
        drawings=options.drawings,
        sampling_steps=options.sampling_steps,
    )
    lines = [json.loads(line) for line in options.json.read_text().splitlines()] if options.json.exists() else []
    missing = [style for style in options.styles if style not in [line["style"] for line in lines]]
    base = load_base("pocket", device=options.device)
    base_pictures = meter.draw(Attachments(base), {}) if missing else []
    with tempfile.TemporaryDirectory() as folder, Terminal() as report:
        for style in missing:
            row = measure(style, meter, base, base_pictures, Library(Path(folder)), options, report)
            lines.append({**asdict(row), **circumstances(base.device)})
            with open(options.json, "a", encoding="utf-8") as stream:  # one write per line: processes may share it
                stream.write(json.dumps(lines[-1]) + "\n")
    rows = [Row(**{key: line[key] for key in Row.__dataclass_fields__}) for line in lines]
    rows.sort(key=lambda row: row.style)
    table = as_markdown(rows) + "\n" + footnote("styles.py", lines[0]) + "\n"
    print(table)
    if options.out:
        Path(options.out).write_text(table)
    return 0


def measure(
    style: str,
    meter: Meter,
    base: LoadedBase,
    base_pictures: Sequence[Image.Image],
    library: Library,
    options: argparse.Namespace,
    report: Report,
) -> Row:
    """Train one style and measure it on unseen scenes."""
    config = parse_config(
        {"data": str(STYLES_FOLDER / style), "name": style, "device": options.device, **dict(options.set)}
    )
    started = time.monotonic()
    folder = execute(create_run(library, config), report if options.verbose else Quiet())
    training_seconds = time.monotonic() - started
    assert folder is not None
    with attached(base, {style: read_adapter(folder)}) as attachments:
        pictures = meter.draw(attachments, {style: 1.0})
    if options.sheets:
        write_strip(Path(options.sheets) / f"{style}.png", [*base_pictures[:8], *pictures[:8]])
    found, before = meter.embed(pictures), meter.embed(base_pictures)
    row = Row(
        style=style,
        style_score=meter.style_score(style, found, before),
        noun_right=meter.noun_right(found),
        base_noun_right=meter.noun_right(before),
        training_seconds=training_seconds,
        steps=config.steps,
    )
    print(json.dumps(asdict(row)), flush=True)
    return row


def write_strip(path: Path, pictures: Sequence[Image.Image]) -> None:
    """Write pictures in rows of eight, base above adapter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    side = 192
    sheet = Image.new("RGB", (8 * side, len(pictures) // 8 * side), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture.resize((side, side)), (number % 8 * side, number // 8 * side))
    sheet.save(path)


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the table and the bars."""
    lines = [
        "| style | style score | noun right | base's noun right | steps | training seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.style} | {r.style_score:.2f} | {r.noun_right:.0%} | {r.base_noun_right:.0%} | {r.steps} "
        f"| {r.training_seconds:.0f} |"
        for r in rows
    ]
    mean = sum(row.style_score for row in rows) / len(rows)
    nouns = sum(row.noun_right for row in rows) / len(rows)
    worst = min(row.style_score for row in rows)
    lines.append(f"| **mean** | **{mean:.2f}** (bar 0.70) | **{nouns:.0%}** (bar 85 %) | | | |")
    lines.append(f"| **worst** | **{worst:.2f}** (bar 0.55) | {min(r.noun_right for r in rows):.0%} | | | |")
    return "\n".join(lines) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--styles", type=lambda text: text.split(","), default=list(STYLES))
    add_measuring_options(parser)
    parser.add_argument(
        "--json",
        type=Path,
        default=Path(os.devnull),
        metavar="FILE",
        help="add a line per style, and skip those it has",
    )
    parser.add_argument("--sheets", metavar="FOLDER", help="also write base above adapter pictures")
    parser.add_argument("--out", metavar="FILE", help="write the table here, such as benchmarks/results/styles.md")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
