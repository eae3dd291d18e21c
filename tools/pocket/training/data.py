"""The training pictures: which ones there are, how they are drawn, and how they reach the device.

A data folder holds `pictures.npy`, uint8 [n, 256, 256, 3], and `recipe.json`. The scenes are not stored:
a recipe gives the same jobs wherever it is read.
"""

from __future__ import annotations

import json
import multiprocessing
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from world import (
    BASE_STYLES,
    HELD_OUT_STYLES,
    Scene,
    is_held_out,
    random_texture,
    render_many,
    sample_scene,
)

from training.models import PICTURE_PX

Kind = Literal["all", "base", "texture"]
Job = tuple[Scene, str, int]

# Prompts that name no style get the flat look, so it needs more pictures than any other style.
FLAT_WEIGHT = 4
CHUNK_PICTURES = 4096


@dataclass(frozen=True)
class Recipe:
    """Which pictures a folder holds.

    all: every style equally often, every combination; for the autoencoder and the judge.
    base: base styles only, without the held-out combinations; for the base.
    texture: random textures without a scene; they keep the autoencoder general.
    """

    kind: Kind
    pictures: int
    seed: int


def jobs(recipe: Recipe) -> list[Job]:
    """The (scene, style, seed) of every picture of a recipe that has scenes."""
    if recipe.kind == "texture":
        return []
    rng = random.Random(f"{recipe.kind} {recipe.seed}")
    styles = BASE_STYLES + HELD_OUT_STYLES if recipe.kind == "all" else BASE_STYLES
    weights = [FLAT_WEIGHT if recipe.kind == "base" and style == "flat" else 1 for style in styles]
    names = rng.choices(styles, weights, k=recipe.pictures)
    return [(_scene(recipe.kind, rng), name, rng.getrandbits(48)) for name in names]


def _scene(kind: Kind, rng: random.Random) -> Scene:
    scene = sample_scene(rng)
    while kind == "base" and is_held_out(scene):
        scene = sample_scene(rng)
    return scene


def draw_folder(recipe: Recipe, folder: Path, processes: int) -> None:
    """Draws a recipe's pictures into a data folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = (recipe.pictures, PICTURE_PX, PICTURE_PX, 3)
    pictures = np.lib.format.open_memmap(folder / "pictures.npy", "w+", np.uint8, shape)
    todo = jobs(recipe)
    for first in range(0, recipe.pictures, CHUNK_PICTURES):
        chunk = slice(first, min(first + CHUNK_PICTURES, recipe.pictures))
        if recipe.kind == "texture":
            seeds = [recipe.seed * 10**6 + number for number in range(chunk.start, chunk.stop)]
            pictures[chunk] = draw_textures(seeds, processes)
        else:
            pictures[chunk] = render_many(todo[chunk], processes, PICTURE_PX)
    pictures.flush()
    # Written last, so that a folder with a recipe is a finished one.
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe)) + "\n")


def draw_textures(seeds: Sequence[int], processes: int) -> np.ndarray:
    """Random textures, uint8 [n, 256, 256, 3], one per seed."""
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return np.stack(pool.map(_texture, seeds, chunksize=16))


def _texture(seed: int) -> np.ndarray:
    return np.asarray(random_texture(seed, PICTURE_PX).convert("RGB"))


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a finished data folder. Raises FileNotFoundError if it isn't one."""
    path = folder / "recipe.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no finished pictures; draw them with make_data.py")
    return Recipe(**json.loads(path.read_text()))


def load_pictures(folders: Sequence[Path], device: torch.device) -> torch.Tensor:
    """The pictures of some folders, one after the other, uint8 [n, 256, 256, 3] on the device."""
    total = sum(read_recipe(folder).pictures for folder in folders)
    pictures = torch.empty(total, PICTURE_PX, PICTURE_PX, 3, dtype=torch.uint8, device=device)
    start = 0
    for folder in folders:
        stored = np.load(folder / "pictures.npy", mmap_mode="r")
        for first in range(0, len(stored), CHUNK_PICTURES):
            chunk = torch.from_numpy(np.array(stored[first : first + CHUNK_PICTURES]))
            pictures[start + first : start + first + len(chunk)] = chunk.to(device)
        start += len(stored)
    return pictures


def to_model(pictures: torch.Tensor) -> torch.Tensor:
    """Bytes [b, h, w, 3] as floats [b, 3, h, w] in -1..1."""
    return pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_bytes(pictures: torch.Tensor) -> torch.Tensor:
    """Floats [b, 3, h, w] in -1..1 as bytes [b, h, w, 3]."""
    return pictures.float().add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1)


def batches(total: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover 0..total."""
    for first in range(0, total, size):
        yield slice(first, min(first + size, total))
