"""The figures of a model card: what the autoencoder keeps, what the judge and the base get right."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPModel, CLIPTokenizer
from world import BASE_STYLES, HELD_OUT_STYLES, Scene, caption, is_held_out, sample_scene

from training.data import Job, batches, to_model
from training.judging import verdicts

Figures = dict[str, float]


def unseen_jobs(per_style: int, seed: int) -> list[Job]:
    """Pictures of one thing that no training has seen: `per_style` in each style, style by style."""
    rng = random.Random(f"unseen {seed}")
    return [
        (sample_scene(rng, count=1), style, rng.getrandbits(48))
        for style in BASE_STYLES + HELD_OUT_STYLES
        for _ in range(per_style)
    ]


def held_out_scenes(count: int, seed: int) -> list[Scene]:
    """Scenes of one thing whose noun, colour and setting the base has never seen together."""
    rng = random.Random(f"held out {seed}")
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = sample_scene(rng, count=1)
        if is_held_out(scene):
            scenes.append(scene)
    return scenes


@torch.no_grad()
def psnr_db(autoencoder: AutoencoderKL, pictures: torch.Tensor) -> np.ndarray:
    """Peak signal-to-noise ratio of each picture, uint8 [n, 256, 256, 3], after a round trip."""
    values = []
    for part in batches(len(pictures), 32):
        images = to_model(pictures[part].to(autoencoder.device))
        decoded = autoencoder(images).sample.clamp(-1, 1)
        error = (decoded - images).square().mean(dim=(1, 2, 3))
        values.append(10 * torch.log10(4 / error))
    return torch.cat(values).cpu().numpy()


def by_style(jobs: Sequence[Job], values: np.ndarray) -> Figures:
    """The mean of one value per job, style by style."""
    styles = [style for _, style, _ in jobs]
    return {name: float(values[np.array(styles) == name].mean()) for name in dict.fromkeys(styles)}


def judge_figures(
    judge: CLIPModel,
    tokenizer: CLIPTokenizer,
    jobs: Sequence[Job],
    pictures: torch.Tensor,
    colourless: Sequence[str],
) -> tuple[Figures, Figures]:
    """Share of right nouns, and of right colours in the styles that keep colour, style by style."""
    said = verdicts(judge, tokenizer, [scene for scene, _, _ in jobs], pictures)
    colours = by_style(jobs, said.colour)
    return by_style(jobs, said.noun), {k: v for k, v in colours.items() if k not in colourless}


def generate(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    steps: int,
    guidance: float,
    first_seed: int,
    batch: int = 50,
) -> torch.Tensor:
    """Pictures uint8 [n, 256, 256, 3], one per prompt; the noise of each has its own seed."""
    pipeline.set_progress_bar_config(disable=True)
    made = []
    for part in batches(len(prompts), batch):
        generators = [torch.Generator().manual_seed(first_seed + number) for number in range(part.start, part.stop)]
        images = pipeline(
            list(prompts[part]),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
            output_type="np",
        ).images
        made.append(np.round(images * 255).astype(np.uint8))
    return torch.from_numpy(np.concatenate(made))


def base_figures(
    pipeline: StableDiffusionPipeline,
    judge: CLIPModel,
    tokenizer: CLIPTokenizer,
    scenes: Sequence[Scene],
    styles: Sequence[str | None],
    steps: int,
    guidance: float,
) -> tuple[Figures, torch.Tensor]:
    """Share of right nouns and colours of pictures drawn from captions, and the pictures."""
    prompts = [caption(scene, style) for scene, style in zip(scenes, styles, strict=True)]
    pictures = generate(pipeline, prompts, steps, guidance, first_seed=1000)
    said = verdicts(judge, tokenizer, scenes, pictures)
    return {"noun": float(said.noun.mean()), "colour": float(said.colour.mean())}, pictures


def seconds_per_picture(pipeline: StableDiffusionPipeline, steps: int, guidance: float, repeats: int) -> Figures:
    """Of one picture on a CPU, the best of several: wall time on two threads, processor time on one.

    The second is right on a busy machine too; two quiet cores take a little over half of it.
    """
    figures = {"steps": float(steps)}
    for name, threads, clock in (("wall_s", 2, time.perf_counter), ("processor_s", 1, time.process_time)):
        torch.set_num_threads(threads)
        times = []
        for _ in range(repeats):
            started = clock()
            generate(pipeline, ["a red boat, sea"], steps, guidance, first_seed=1)
            times.append(clock() - started)
        figures[name] = round(min(times), 2)
    return figures
