"""One cell of the method benchmark: train a method on some parts, write it, read it back, draw with it, score it."""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from measuring import STYLES_FOLDER, Meter
from torch import Tensor

from pipelines.attach import Attachments, attached
from pipelines.base_card import base_card
from pipelines.bases import load_base
from pipelines.families import LoadedBase
from pipelines.judge import Judge
from trainers.adapter import Adapter, read_adapter, write_adapter
from trainers.card import AdapterCard, PartCard
from trainers.config import RunConfig, parse_config
from trainers.data.images import read_folder
from trainers.data.latents import Latents, encode_latents
from trainers.image_task import ImageTask
from trainers.loop import ADAPTER, Training, begin, train, trained_parts
from trainers.methods import find_method, methods
from trainers.tuners import peft_bridge as bridge

PARTS: Mapping[str, tuple[str, ...]] = {
    "text_encoder": ("text_encoder",),
    "unet": ("unet",),
    "both": ("unet", "text_encoder"),
}
FUSED = ("pfeiffer", ("chalkboard", "stained_glass"))
"""What a method that builds on other adapters gets: adapters of a method, one per style."""


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
        self._latents: dict[str, Latents] = {}
        self._fused: dict[str, list[str]] = {}
        self._folder = tempfile.TemporaryDirectory()

    def close(self) -> None:
        """Remove what was written on the way."""
        self._folder.cleanup()

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
        config = config_of(cell, base.device, self._adapters_for(cell, base))
        with tempfile.TemporaryDirectory() as folder:
            training, losses, seconds = self._train(config, base, Path(folder) / "it")
            size = sum(path.stat().st_size for path in (Path(folder) / "it").glob("*/*"))
            adapter = read_adapter(Path(folder) / "it")  # scored as it is read back, like every user's
        with attached(base, {"it": adapter}) as attachments:
            found = self._meter.embed(self._meter.draw(attachments, {"it": 1.0}, trigger=config.trigger))
        trainable = sum(found.trainable for found in training.attached.values())
        total = sum(found.total for found in training.attached.values())
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
            learning_rates={part: config.learning_rate_of(part) for part in config.parts},
        )

    def _train(self, config: RunConfig, base: LoadedBase, target: Path) -> tuple[Training, list[float], float]:
        """Train, write the adapter to a folder, take it off the base; return the losses and the steps' seconds too."""
        training = begin(config, ImageTask(config, base, self._encoded(config, base)))
        started = time.monotonic()
        losses = [step.loss for step in train(training)]
        if base.device.type == "cuda":
            torch.cuda.synchronize(base.device)
        seconds = time.monotonic() - started
        write_adapter(target, Adapter(card_of(config, base), trained_parts(training), {}))
        for part in config.parts:
            detach(base, part)
        return training, losses, seconds

    def _adapters_for(self, cell: Cell, base: LoadedBase) -> list[str]:
        """Return folders of trained adapters for a method that builds on some, else none."""
        if not find_method(cell.method).settings.naming_adapters():
            return []
        method, styles = FUSED
        if cell.parts not in self._fused:
            folders = [Path(self._folder.name) / cell.parts / style for style in styles]
            for style, folder in zip(styles, folders, strict=True):
                self._train(config_of(replace(cell, style=style, method=method), base.device, []), base, folder)
            self._fused[cell.parts] = [str(folder) for folder in folders]
        return self._fused[cell.parts]

    def _loaded(self) -> LoadedBase:
        if self._base is None:
            self._base = load_base("pocket", device=self._options.device, precision=self._options.precision)
        return self._base

    def _encoded(self, config: RunConfig, base: LoadedBase) -> Latents:
        key = f"{config.trigger} {config.data}"  # the latents carry the captions
        if key not in self._latents:
            pictures = read_folder(Path(config.data), trigger=config.trigger).pictures
            size_px = config.resolution_px or base.resolution_px
            *_, (_, latents) = encode_latents(base, pictures, size_px=size_px, flip=config.flip)
            self._latents[key] = latents
        return self._latents[key]


def detach(base: LoadedBase, part: str) -> None:
    """Take the trained adapter off a part."""
    bridge.detach(base.parts[part], ADAPTER)
    bridge.set_weights(base.parts[part], {})


def config_of(cell: Cell, device: torch.device, adapters: list[str]) -> RunConfig:
    """Return the run's settings, with every learning rate written out.

    Args:
        adapters: folders of the adapters that the method builds on, if it does.
    """
    settings = dict.fromkeys(find_method(cell.method).settings.naming_adapters(), adapters)
    word = find_method(cell.method).settings.model_fields.get("word")  # a word that the method teaches
    plans: dict[str, Any] = {}
    for part in PARTS[cell.parts]:
        rate = methods()[cell.method].recommendation(part).learning_rate * cell.rate_factor
        plans[part] = {"method": cell.method, "learning_rate": rate, "settings": settings}
    return parse_config(
        {
            "data": str(STYLES_FOLDER / cell.style),
            "name": "cell",
            "parts": plans,
            "steps": cell.steps,
            "seed": cell.seed,
            "device": str(device),
            "trigger": f"<{word.default}>" if word else None,
            **json.loads(cell.settings),
        }
    )


def card_of(config: RunConfig, base: LoadedBase) -> AdapterCard:
    """Return the card that the adapter is written with."""
    return AdapterCard(
        name=config.name,
        base=base_card(base),
        parts={part: PartCard(method=plan.method, settings=plan.settings) for part, plan in config.parts.items()},
    )
