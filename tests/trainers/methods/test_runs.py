"""Every method in the real loop: a run that resumes is bit-equal to one that never stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.families import LoadedBase
from tests.support import bits, card_for, demands
from tests.trainers.methods.cells import SIZES
from trainers.adapter import Adapter, parts_size_bytes, write_adapter
from trainers.checkpoint import Checkpoint
from trainers.config import parse_config
from trainers.data.latents import Latents
from trainers.image_task import ImageTask
from trainers.loop import ADAPTER, Training, begin, restore, snapshot, train, trained_parts
from trainers.methods import find_method, methods
from trainers.tensor_files import tensors_size_bytes, write_tensors
from trainers.tuners import peft_bridge as bridge

pytestmark = pytest.mark.filterwarnings("ignore")


def run(base: LoadedBase, work: Callable[[Training], Any], **values: Any) -> Any:
    mean = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    config = parse_config({"data": "d", "name": "n", "steps": 4, "batch_size": 1, "warmup_steps": 0, **values})
    captions = tuple(f"{config.trigger or 'a'} {word}" for word in ("one", "two", "three"))
    data = Latents(mean, torch.full_like(mean, 0.01), captions)
    training = begin(config, ImageTask(config, base, data))
    try:
        return work(training)
    finally:
        for part in config.parts:
            bridge.detach(base.parts[part], ADAPTER)


@pytest.mark.parametrize("name", [name for name, method in methods().items() if method.fits("text_encoder")])
def test_a_resumed_run_is_bit_equal(base: LoadedBase, tmp_path: Path, name: str) -> None:
    part = "text_encoder"
    more = demands(find_method(name), part, base.parts[part], lambda w: base.targets(part, w), tmp_path)
    settings = {"interval": 1} if name == "adalora" else {"drop_up_to": 1} if name in ("houlsby", "pfeiffer") else {}
    parts = {"text_encoder": {"method": name, "settings": {**settings, **more}}}

    def whole(training: Training) -> tuple[Any, Checkpoint]:
        steps = train(training)
        next(steps)
        next(steps)
        middle = snapshot(training)
        list(steps)
        return _bits(snapshot(training)), middle

    def rest(training: Training) -> Any:
        restore(training, middle)
        list(train(training))
        return _bits(snapshot(training))

    wanted, middle = run(base, whole, parts=parts)
    assert run(base, rest, parts=parts) == wanted


def _bits(checkpoint: Checkpoint) -> dict[str, dict[str, str]]:
    return {group: bits(tensors) for group, tensors in checkpoint.groups.items()}


PLACES = [(name, "text_encoder") for name, method in methods().items() if method.fits("text_encoder")]


@pytest.mark.parametrize(("name", "part"), [*PLACES, ("lora", "unet"), ("mam", "unet")])
def test_the_size_told_before_is_the_size_of_the_file(base: LoadedBase, tmp_path: Path, name: str, part: str) -> None:
    def sizes(training: Training) -> tuple[int, int]:
        told = parts_size_bytes(trained_parts(training))
        next(iter(train(training)))
        parts = trained_parts(training)
        write_adapter(tmp_path / "x", Adapter(card_for(base, "x", parts, name), parts, {}))
        return told, (tmp_path / "x" / part / "adapter_model.safetensors").stat().st_size

    more = demands(find_method(name), part, base.parts[part], lambda words: base.targets(part, words), tmp_path)
    told, real = run(base, sizes, parts={part: {"method": name, "settings": {**SIZES.get(name, {}), **more}}})
    assert real <= told if methods()[name].shrinks else real == told


def test_the_size_of_a_file_counts_header_and_every_format(tmp_path: Path) -> None:
    tensors = {
        "ä.weight": torch.zeros(3, 5, dtype=torch.bfloat16),
        "b": torch.zeros(7, dtype=torch.float64),
        "a": torch.zeros(2, 1),
    }
    for metadata in (None, {"format": "pt"}):
        write_tensors(tmp_path / "x", tensors, metadata)
        assert (tmp_path / "x").stat().st_size == tensors_size_bytes(tensors, metadata)


def test_each_part_can_have_its_own_method(base: LoadedBase) -> None:
    parts = {"unet": {"method": "mam"}, "text_encoder": {"method": "prompt_tuning"}}
    losses = run(base, lambda training: [step.loss for step in train(training)], parts=parts)
    assert len(losses) == 4


def test_lora_plus_steps_faster_in_b(base: LoadedBase) -> None:
    parts = {"text_encoder": {"method": "lora", "learning_rate": 1e-3, "settings": {"rate_ratio": 16}}}
    rates = run(base, lambda training: [g["base_rate"] for g in training.optimizer.param_groups], parts=parts)
    assert sorted(rates) == pytest.approx([1e-3, 1.6e-2])
