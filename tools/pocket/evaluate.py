"""Measures the pocket base and its judge.

    python tools/pocket/evaluate.py --base pipelines/pocket/base --judge pipelines/pocket/judge

gives `metrics.json` in both folders, which write_cards.py puts into the model cards. `--measure` picks:

drawings  on unseen drawings: the autoencoder's PSNR and the judge's own accuracy, style by style
base      the share of right nouns and colours in pictures of combinations that the base has never seen
time      the time per picture, 20 steps with guidance, on a CPU
sheets    contact sheets to look at, into `--sheets`
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from training.data import to_bytes, to_model
from training.loop import pick_device, seed_everything
from training.measures import (
    base_figures,
    by_style,
    generate,
    held_out_scenes,
    judge_figures,
    psnr_db,
    seconds_per_picture,
    unseen_jobs,
)
from training.sheets import write_sheet
from transformers import CLIPModel, CLIPTokenizer
from world import BASE_STYLES, caption, render_many, sample_scene

SHEET_COLUMNS = 8
SHEET_PICTURES = 40
SHEET_CELL_PX = 192
TIMED_STEPS = 20
DECIMALS = 4


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("drawings", "base", "time", "sheets")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--measure", nargs="+", choices=parts, default=parts[:2])
    parser.add_argument("--per-style", type=int, default=32, help="unseen drawings per style")
    parser.add_argument("--combinations", type=int, default=200, help="unseen ones to generate")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5, help="pictures that are timed; the best counts")
    parser.add_argument("--guidance", type=float, nargs="+", default=[5.0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device")
    parser.add_argument("--sheets", type=Path, default=Path("pocket-sheets"))
    return parser.parse_args()


class Evaluation:
    """The loaded models and the drawings that they are measured on."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.colourless = json.loads((options.judge / "training.json").read_text())["colourless"]
        self.jobs = unseen_jobs(options.per_style, options.seed)
        # Before CUDA starts, because drawing forks.
        self.pictures = torch.from_numpy(np.array(render_many(self.jobs, os.cpu_count() or 1)))
        device = pick_device(options.device)
        self.pipeline = StableDiffusionPipeline.from_pretrained(str(options.base)).to(device)
        self.judge = CLIPModel.from_pretrained(options.judge).to(device).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(options.judge)

    def drawings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Figures for the base's and the judge's folder that need no generated picture."""
        psnr = by_style(self.jobs, psnr_db(self.pipeline.vae, self.pictures))
        nouns, colours = judge_figures(self.judge, self.tokenizer, self.jobs, self.pictures, self.colourless)
        return (
            {"autoencoder_psnr_db": with_mean(psnr)},
            {
                "drawings": len(self.jobs),
                "noun": with_mean(nouns),
                "colour": with_mean(colours),
                "styles_without_colour": self.colourless,
            },
        )

    def base(self) -> dict[str, Any]:
        """Right nouns and colours, in the default look and in named styles, at each guidance."""
        options, rng = self.options, random.Random(self.options.seed)
        scenes = held_out_scenes(options.combinations, options.seed)
        coloured = [style for style in BASE_STYLES if style not in self.colourless]
        looks = {"default": [None] * len(scenes), "named": [rng.choice(coloured) for _ in scenes]}
        results: dict[str, Any] = {"combinations": len(scenes), "steps": options.steps}
        for guidance in options.guidance:
            for look, styles in looks.items():
                figures, pictures = base_figures(
                    self.pipeline, self.judge, self.tokenizer, scenes, styles, options.steps, guidance
                )
                results[f"{look} style, guidance {guidance:g}"] = figures
                print(look, guidance, figures, flush=True)
                if "sheets" in options.measure:
                    labels = [caption(scene, style) for scene, style in zip(scenes, styles, strict=True)]
                    self.write(f"{look}_{guidance:g}", pictures[:SHEET_PICTURES], labels[:SHEET_PICTURES])
        return {"unseen_combinations": results}

    def time(self) -> dict[str, Any]:
        """Seconds per picture on a CPU."""
        pipeline, options = self.pipeline.to("cpu"), self.options
        return {"cpu_time": seconds_per_picture(pipeline, TIMED_STEPS, options.guidance[0], options.repeats)}

    def sheets(self) -> None:
        """A scene in every base style, several things, and the autoencoder's round trips."""
        prompts = [f"a red boat, sea, {style.replace('_', ' ')} style" for style in BASE_STYLES]
        rng = random.Random(self.options.seed)
        prompts += [caption(sample_scene(rng, count=count)) for count in (2, 2, 2, 2, 3)]
        made = generate(self.pipeline, prompts, self.options.steps, self.options.guidance[0], first_seed=1)
        self.write("styles", made, prompts)
        chosen = range(0, len(self.jobs), self.options.per_style)
        images = self.pictures[list(chosen)]
        with torch.no_grad():
            decoded = to_bytes(self.pipeline.vae(to_model(images).to(self.pipeline.device)).sample).cpu()
        labels = [name for index in chosen for name in (self.jobs[index][1], "decoded")]
        self.write("autoencoder", torch.stack([images, decoded], dim=1).flatten(0, 1), labels)

    def write(self, name: str, pictures: torch.Tensor, labels: list[str]) -> None:
        """One contact sheet."""
        path = self.options.sheets / f"{name}.png"
        write_sheet(pictures.numpy(), labels, path, SHEET_COLUMNS, SHEET_CELL_PX)


def with_mean(figures: dict[str, float]) -> dict[str, float]:
    """The mean over the styles in front of the styles."""
    return {"mean": float(np.mean(list(figures.values()))), **figures}


def rounded(value: Any) -> Any:
    """The same figures with four decimals."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return round(value, DECIMALS) if isinstance(value, float) else value


def update(path: Path, figures: dict[str, Any]) -> None:
    """Puts the figures into a JSON file, beside those that are there."""
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(before | rounded(figures), indent=2) + "\n")
    print(json.dumps(rounded(figures), indent=2), flush=True)


def main() -> None:
    """Measures what is asked for and writes it down."""
    options = parse()
    seed_everything(options.seed)
    evaluation = Evaluation(options)
    if "drawings" in options.measure:
        for folder, figures in zip((options.base, options.judge), evaluation.drawings(), strict=True):
            update(folder / "metrics.json", figures)
    if "base" in options.measure:
        update(options.base / "metrics.json", evaluation.base())
    if "sheets" in options.measure:
        evaluation.sheets()
    if "time" in options.measure:
        update(options.base / "metrics.json", evaluation.time())


if __name__ == "__main__":
    main()
