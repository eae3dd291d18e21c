"""Pictures from scenes: one at a time, or very many with all processors."""

from __future__ import annotations

import mmap
import multiprocessing
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from .layout import compose
from .scene import Scene
from .styles import all_styles

Job = tuple[Scene, str, int]
REPORT_SECONDS = 5.0


def draw(scene: Scene, style: str, seed: int, size_px: int = 256) -> Image.Image:
    """The scene in a style as an RGB picture; the same arguments always give the same pixels."""
    rng = random.Random(seed)
    layout = compose(scene, rng)
    return all_styles()[style].draw(layout, rng, size_px)


def render_many(jobs: Sequence[Job], processes: int, size_px: int = 256) -> np.ndarray:
    """Draws all (scene, style, seed) jobs: uint8 [n, size, size, 3], in the order of the jobs.

    Progress goes to stderr. Workers are forked, so call this before CUDA starts; where a system
    cannot fork, one process does the work. Raises RuntimeError when a worker dies.
    """
    shape = (len(jobs), size_px, size_px, 3)
    # An anonymous map is shared with forked workers and, unlike /dev/shm, not capped in containers.
    memory = mmap.mmap(-1, max(1, int(np.prod(shape))))
    pictures = np.frombuffer(memory, dtype=np.uint8)[: int(np.prod(shape))].reshape(shape)
    if processes <= 1 or "fork" not in multiprocessing.get_all_start_methods():
        _draw_share(pictures, jobs, 0, 1, None)
        return pictures
    context = multiprocessing.get_context("fork")
    done: Any = context.Array("q", processes)
    workers = [
        context.Process(target=_draw_share, args=(pictures, jobs, index, processes, done)) for index in range(processes)
    ]
    for worker in workers:
        worker.start()
    started, reported = time.monotonic(), 0.0
    for worker in workers:
        while worker.is_alive():
            worker.join(0.5)
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                _report(sum(done), len(jobs), reported - started)
    if any(worker.exitcode != 0 for worker in workers):
        raise RuntimeError(f"a drawing process failed; {sum(done)} of {len(jobs)} pictures drawn")
    _report(len(jobs), len(jobs), time.monotonic() - started)
    return pictures


def _draw_share(pictures: np.ndarray, jobs: Sequence[Job], first: int, step: int, done: Any) -> None:
    size_px = pictures.shape[1]
    for index in range(first, len(jobs), step):
        scene, style, seed = jobs[index]
        pictures[index] = np.asarray(draw(scene, style, seed, size_px))
        if done is not None:
            done[first] += 1


def _report(done: int, total: int, seconds: float) -> None:
    print(f"drawn {done} of {total} pictures in {seconds:.0f} s", file=sys.stderr, flush=True)
