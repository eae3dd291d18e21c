"""Measure style training on the six shipped styles: how much of the style arrives, and whether nouns survive.

    python examples/benchmark_styles.py                     # all six, about 20 minutes on 2 CPU cores
    python examples/benchmark_styles.py --styles neon --set steps=200

For each style an adapter is trained on its 24 pictures. Then pictures are drawn for prompts of scenes that are in no
training set, with and without the adapter, from the same noise. The style score is the mean CLIP-I to unseen drawings
of the style, scaled so that the base is 0 and other unseen drawings of the style are 1. The noun is right when the
judge finds the nearest of "a boat", "a cat" … to be the prompt's.
"""

import argparse
import json
import platform
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "pocket"))  # the drawing program draws the unseen pictures

from world import NOUNS, Scene, caption, draw, is_held_out, sample_scene  # noqa: E402

from pipelines.attach import Attachments, attached  # noqa: E402
from pipelines.bases import load_base  # noqa: E402
from pipelines.families import LoadedBase  # noqa: E402
from pipelines.generate import PictureRequest, generate  # noqa: E402
from pipelines.judge import Judge, share_of_style, style_scores  # noqa: E402
from studio.library import Library  # noqa: E402
from studio.report import Quiet, Report, Terminal  # noqa: E402
from studio.runs import create_run, execute  # noqa: E402
from trainers.adapter import read_adapter  # noqa: E402
from trainers.config import parse_config  # noqa: E402

STYLES = ("blueprint", "chalkboard", "neon", "stained_glass", "watercolor", "woodcut")


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
    settings = dict(_setting(text) for text in options.set)
    scenes = unseen_scenes(options.pictures, seed=11)
    judge = Judge(device=options.device)
    base = load_base("pocket", device=options.device)
    prompts = [caption(scene) for scene in scenes]
    base_pictures = draw_prompts(Attachments(base), prompts, {}, options.sampling_steps)
    with tempfile.TemporaryDirectory() as folder, Terminal() as report:
        rows = [
            measure(style, settings, scenes, base, base_pictures, judge, Library(Path(folder)), options, report)
            for style in options.styles
        ]
    table = as_markdown(rows, options.device, base)
    print(table)
    if options.out:
        Path(options.out).write_text(table)
    return 0


def measure(
    style: str,
    settings: dict[str, Any],
    scenes: Sequence[Scene],
    base: LoadedBase,
    base_pictures: Sequence[Image.Image],
    judge: Judge,
    library: Library,
    options: argparse.Namespace,
    report: Report,
) -> Row:
    """Train one style and measure it on unseen scenes."""
    config = parse_config({"data": str(HERE / "styles" / style), "name": style, "device": options.device, **settings})
    started = time.monotonic()
    folder = execute(create_run(library, config), report if options.verbose else Quiet())
    training_seconds = time.monotonic() - started
    assert folder is not None
    with attached(base, {style: read_adapter(folder)}) as attachments:
        pictures = draw_prompts(attachments, [caption(scene) for scene in scenes], {style: 1.0}, options.sampling_steps)
    if options.sheets:
        write_strip(Path(options.sheets) / f"{style}.png", [*base_pictures[:8], *pictures[:8]])
    real = judge.embed_pictures(unseen_drawings(style, options.drawings, seed=101))
    other = judge.embed_pictures(unseen_drawings(style, options.drawings, seed=202))
    found = judge.embed_pictures(pictures)
    row = Row(
        style=style,
        style_score=share_of_style(
            mean_style(found, real), mean_style(judge.embed_pictures(base_pictures), real), mean_style(other, real)
        ),
        noun_right=noun_share(judge, found, scenes),
        base_noun_right=noun_share(judge, judge.embed_pictures(base_pictures), scenes),
        training_seconds=training_seconds,
        steps=config.steps,
    )
    print(json.dumps(asdict(row)), flush=True)
    return row


def mean_style(pictures: torch.Tensor, references: torch.Tensor) -> float:
    """Return the mean CLIP-I of pictures [n, d] to references [m, d]."""
    return float(style_scores(pictures, references).mean())


def noun_share(judge: Judge, pictures: torch.Tensor, scenes: Sequence[Scene]) -> float:
    """Return the share of pictures [n, d] in which the judge finds the scene's noun."""
    texts = judge.embed_texts([f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}" for noun in NOUNS])
    nearest = (pictures @ texts.T).argmax(1).tolist()
    right = [NOUNS[found] == scene.things[0].noun for found, scene in zip(nearest, scenes, strict=True)]
    return sum(right) / len(right)


def unseen_scenes(count: int, seed: int) -> list[Scene]:
    """Return scenes of one thing in combinations that neither the base nor an adapter was trained on."""
    generator = random.Random(seed)
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = sample_scene(generator, count=1)
        if is_held_out(scene):
            scenes.append(scene)
    return scenes


def unseen_drawings(style: str, count: int, seed: int) -> list[Image.Image]:
    """Return drawings of a style that no model was trained on: their scenes are held out."""
    return [draw(scene, style, seed + number) for number, scene in enumerate(unseen_scenes(count, seed))]


def draw_prompts(
    attachments: Attachments, prompts: Sequence[str], weights: dict[str, float], steps: int
) -> list[Image.Image]:
    """Draw one picture per prompt; prompt k has seed 500 + k."""
    requests = [PictureRequest(prompt, seed=500 + k, weights=weights, steps=steps) for k, prompt in enumerate(prompts)]
    found = dict(generate(attachments, requests, batch_size=8))
    return [found[k] for k in range(len(prompts))]


def write_strip(path: Path, pictures: Sequence[Image.Image]) -> None:
    """Write pictures in rows of eight, base above adapter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    side = 192
    sheet = Image.new("RGB", (8 * side, len(pictures) // 8 * side), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture.resize((side, side)), (number % 8 * side, number // 8 * side))
    sheet.save(path)


def as_markdown(rows: Sequence[Row], device: str, base: LoadedBase) -> str:
    """Return the table, the bars, and when and where it was measured."""
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
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "peft"))
    chip = torch.cuda.get_device_name() if base.device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    day = datetime.now(UTC).date().isoformat()
    lines += ["", f"Measured {day} by `examples/benchmark_styles.py` on {chip} ({platform.machine()}); {versions}."]
    return "\n".join(lines) + "\n"


def _setting(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    return key, yaml.safe_load(value)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--styles", type=lambda text: text.split(","), default=list(STYLES))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=YAML", help="other settings of the runs")
    parser.add_argument("--pictures", type=int, default=40, help="prompts per style")
    parser.add_argument("--drawings", type=int, default=48, help="unseen drawings that stand for the style")
    parser.add_argument("--sampling-steps", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sheets", metavar="FOLDER", help="also write base above adapter pictures")
    parser.add_argument("--out", metavar="FILE", help="write the table here, such as examples/results/styles.md")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
