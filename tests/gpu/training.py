"""Trainings in memory on a loaded base, as small as they come."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from pipelines.families import LoadedBase
from tests.support import demands
from trainers.config import parse_config
from trainers.data.latents import Latents
from trainers.data.texts import TextRow
from trainers.image_task import ImageTask
from trainers.loop import ADAPTER, Training, begin
from trainers.methods import find_method
from trainers.stages import make_task
from trainers.text_config import PART, TextConfig
from trainers.tuners import peft_bridge as bridge


@contextlib.contextmanager
def begun(base: LoadedBase, parts: Mapping[str, Any], **values: Any) -> Iterator[Training]:
    """Begin a training of these parts; the base is bare afterwards."""
    values = {"data": "-", "name": "it", "batch_size": 2, "steps": 12, "warmup_steps": 0, "parts": parts, **values}
    task: Any
    if PART in base.parts:
        text_config = parse_config(values, TextConfig)
        rows = [TextRow(f"row {number}", text=f"number {number} of the rows") for number in range(4)]
        task = make_task(text_config, base, rows)  # type: ignore[arg-type]
        config: Any = text_config
    else:
        config = parse_config({**values, "caption_dropout": 0})
        task = ImageTask(config, base, _latents())  # type: ignore[arg-type]
    try:
        yield begin(config, task)
    finally:
        for part in config.parts:
            bridge.detach(base.parts[part], ADAPTER)
            bridge.set_weights(base.parts[part], {})


def plan_of(name: str, base: LoadedBase, part: str, folder: Path) -> dict[str, Any]:
    """Return a part's plan with a method's recommended settings, and adapters for one that builds on some."""
    module, method = base.parts[part], find_method(name)
    more = demands(method, part, module, lambda wanted: base.targets(part, wanted), folder / part)
    return {"method": name, "settings": more}


def _latents() -> Latents:
    mean = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    return Latents(mean, torch.full_like(mean, 0.01), tuple(f"a <new> {word}" for word in ("one", "two", "six", "ten")))
