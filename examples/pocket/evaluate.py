"""Measures the pocket base and its judge, and writes the figures into their model cards.

    python examples/pocket/evaluate.py --base pipelines/pocket/base --judge pipelines/pocket/judge \\
        --sheets pocket-sheets --cards

Figures go to `metrics.json` in the judge's and the base's folder: the autoencoder's PSNR per style, the
judge's accuracy on real drawings, the share of right nouns and colours in pictures of combinations that
the base has never seen, and the time per picture on two CPU threads (`--time`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from training.cards import write_cards
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


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--per-style", type=int, default=32, help="unseen drawings per style")
    parser.add_argument("--combinations", type=int, default=200, help="unseen ones to generate")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, nargs="+", default=[5.0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device")
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets")
    parser.add_argument("--time", action="store_true", help="time a picture on two CPU threads")
    parser.add_argument("--cards", action="store_true", help="write the model cards")
    return parser.parse_args()


def measure_drawings(options: argparse.Namespace, pipeline, judge, tokenizer, drawings) -> dict:
    """The figures that need no generated picture: autoencoder and judge."""
    jobs, pictures = drawings
    colourless = json.loads((options.judge / "training.json").read_text())["colourless"]
    psnr = by_style(jobs, psnr_db(pipeline.vae, pictures))
    nouns, colours = judge_figures(judge, tokenizer, jobs, pictures, colourless)
    return {
        "autoencoder_psnr_db": {"mean": float(np.mean(list(psnr.values()))), **psnr},
        "judge_noun": {"mean": float(np.mean(list(nouns.values()))), **nouns},
        "judge_colour": {"mean": float(np.mean(list(colours.values()))), **colours},
        "colourless_styles": colourless,
    }


def measure_base(options: argparse.Namespace, pipeline, judge, tokenizer, colourless) -> dict:
    """Right nouns and colours, in the default look and in named styles, at each guidance."""
    rng = random.Random(options.seed)
    scenes = held_out_scenes(options.combinations, options.seed)
    plain = [None] * len(scenes)
    named = [rng.choice([s for s in BASE_STYLES if s not in colourless]) for _ in scenes]
    results = {}
    for guidance in options.guidance:
        for look, styles in (("default", plain), ("named", named)):
            figures, pictures = base_figures(pipeline, judge, tokenizer, scenes, styles, options.steps, guidance)
            results[f"{look}, guidance {guidance:g}"] = figures
            print(look, guidance, figures, flush=True)
            if options.sheets:
                labels = [caption(s, look) for s, look in zip(scenes, styles, strict=True)]
                path = options.sheets / f"{look}_{guidance:g}.png"
                write_sheet(pictures[:40].numpy(), labels[:40], path, SHEET_COLUMNS, 192)
    return results


def draw_sheets(options: argparse.Namespace, pipeline, drawings) -> None:
    """A scene in every base style, several things, and the autoencoder's round trips."""
    prompts = [f"a red boat, sea, {style.replace('_', ' ')} style" for style in BASE_STYLES]
    rng = random.Random(options.seed)
    prompts += [caption(sample_scene(rng, count=count)) for count in (2, 2, 2, 2, 3)]
    made = generate(pipeline, prompts, options.steps, options.guidance[0], first_seed=1)
    write_sheet(made.numpy(), prompts, options.sheets / "styles.png", SHEET_COLUMNS, 192)
    jobs, pictures = drawings
    chosen = range(0, len(jobs), options.per_style)
    images = pictures[list(chosen)]
    with torch.no_grad():
        decoded = pipeline.vae(to_model(images).to(pipeline.device)).sample
    pairs = torch.stack([images, to_bytes(decoded).cpu()], dim=1).flatten(0, 1)
    labels = [name for index in chosen for name in (jobs[index][1], "decoded")]
    write_sheet(pairs.numpy(), labels, options.sheets / "autoencoder.png", SHEET_COLUMNS)


def main() -> None:
    """Measures everything and writes it down."""
    options = parse()
    seed_everything(options.seed)
    jobs = unseen_jobs(options.per_style, options.seed)
    # Before CUDA starts, because drawing forks.
    drawings = (jobs, torch.from_numpy(np.array(render_many(jobs, os.cpu_count() or 1))))
    device = pick_device(options.device)
    pipeline = StableDiffusionPipeline.from_pretrained(str(options.base)).to(device)
    judge = CLIPModel.from_pretrained(options.judge).to(device).eval()
    tokenizer = CLIPTokenizer.from_pretrained(options.judge)
    metrics = measure_drawings(options, pipeline, judge, tokenizer, drawings)
    print(json.dumps(metrics, indent=2), flush=True)
    metrics["base"] = measure_base(options, pipeline, judge, tokenizer, metrics["colourless_styles"])
    metrics["sampling"] = {"steps": options.steps, "guidance": options.guidance[0]}
    if options.sheets:
        draw_sheets(options, pipeline, drawings)
    if options.time:
        torch.set_num_threads(2)
        seconds = seconds_per_picture(pipeline.to("cpu"), 20, options.guidance[0])
        metrics["seconds_per_picture_cpu"] = round(seconds, 2)
        print(f"{seconds:.2f} s per picture on two CPU threads")
    for folder in (options.base, options.judge):
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    if options.cards:
        write_cards(options.base, options.judge)


if __name__ == "__main__":
    main()
