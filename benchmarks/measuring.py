"""What the benchmarks share: unseen scenes of the pocket world, scores of style and noun, and where it was measured."""

import argparse
import platform
import random
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools" / "pocket"))  # the drawing program draws the unseen pictures

from world import NOUNS, Scene, caption, draw, is_held_out, sample_scene  # noqa: E402

from pipelines.attach import Attachments  # noqa: E402
from pipelines.generate import ImageRequest, generate  # noqa: E402
from pipelines.judge import Judge, share_of_style, style_scores  # noqa: E402

STYLES = ("blueprint", "chalkboard", "neon", "stained_glass", "watercolor", "woodcut")
STYLES_FOLDER = ROOT / "examples" / "styles"


class Meter:
    """Draws the same unseen prompts with different adapters and scores the pictures.

    The style score is the mean CLIP-I to unseen drawings of the style, scaled so that the base is 0 and other unseen
    drawings of the style are 1. The noun is right when the judge finds the nearest of "a boat", "a cat" … to be the
    prompt's.
    """

    def __init__(self, judge: Judge, *, pictures: int, drawings: int, sampling_steps: int) -> None:
        """Choose the prompts.

        Args:
            pictures: number of prompts.
            drawings: number of unseen drawings that stand for a style.
            sampling_steps: denoising steps of every picture.
        """
        self._judge, self._drawings, self._steps = judge, drawings, sampling_steps
        self._scenes = unseen_scenes(pictures, seed=11)
        self._references: dict[str, tuple[Tensor, Tensor]] = {}

    def draw(
        self, attachments: Attachments, weights: Mapping[str, float], *, trigger: str | None = None
    ) -> list[Image.Image]:
        """Draw one picture per prompt, the trigger before each; prompt k has seed 500 + k."""
        prompts = [f"{trigger}, {caption(scene)}" if trigger else caption(scene) for scene in self._scenes]
        requests = [
            ImageRequest(prompt, seed=500 + k, weights=weights, num_inference_steps=self._steps)
            for k, prompt in enumerate(prompts)
        ]
        found = dict(generate(attachments, requests, batch_size=8))
        return [found[k] for k in range(len(prompts))]

    def embed(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Return the judge's embeddings [n, d] of pictures."""
        return self._judge.embed_images(pictures)

    def style_score(self, style: str, pictures: Tensor, base_pictures: Tensor) -> float:
        """Return how much of a style pictures [n, d] have, 0 for the base's own, 1 for unseen drawings of it."""
        if style not in self._references:
            drawn = [self.embed(unseen_drawings(style, self._drawings, seed)) for seed in (101, 202)]
            self._references[style] = (drawn[0], drawn[1])
        real, other = self._references[style]
        found, base, best = (float(style_scores(rows, real).mean()) for rows in (pictures, base_pictures, other))
        return share_of_style(found, base, best)

    def noun_right(self, pictures: Tensor) -> float:
        """Return the share of pictures [n, d], one per prompt, in which the judge finds the prompt's noun."""
        texts = self._judge.embed_texts([f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}" for noun in NOUNS])
        nearest = (pictures @ texts.T).argmax(1).tolist()
        right = [NOUNS[found] == scene.things[0].noun for found, scene in zip(nearest, self._scenes, strict=True)]
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


def circumstances(device: torch.device) -> dict[str, str]:
    """Return the day, the machine and the versions that a measurement belongs to."""
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "transformers", "peft"))
    return {
        "day": datetime.now(UTC).date().isoformat(),
        "machine": f"{chip} ({platform.machine()})",
        "versions": versions,
    }


def footnote(script: str, facts: Mapping[str, str]) -> str:
    """Return the sentence below a table that says when and where it was measured."""
    return f"Measured {facts['day']} by `benchmarks/{script}` on {facts['machine']}; {facts['versions']}."


def add_measuring_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how much is measured, and where."""
    parser.add_argument("--pictures", type=int, default=40, help="prompts drawn with each adapter (default 40)")
    parser.add_argument("--drawings", type=int, default=48, help="unseen drawings that stand for a style (default 48)")
    parser.add_argument("--sampling-steps", type=int, default=20, help="denoising steps of a picture (default 20)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    parser.add_argument(
        "--set", action="append", default=[], type=_setting, metavar="KEY=YAML", help="another setting of the runs"
    )


def _setting(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    return key, yaml.safe_load(value)
