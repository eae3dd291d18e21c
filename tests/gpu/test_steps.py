"""One step of every method on every part that it fits, in every precision, and a forward with the adapter live."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipelines.attach import Attachments
from pipelines.families import LoadedBase, families
from pipelines.generate import ImageRequest, generate
from pipelines.text_generate import TextRequest, generate_texts
from tests.gpu.conftest import FAMILIES, LEFT_OUT, PRECISIONS, parts_of
from tests.gpu.training import begun, plan_of
from trainers.loop import ADAPTER, Step, Training, train
from trainers.methods import methods
from trainers.text_config import PART

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


CELLS = [
    (name, family)
    for name, method in methods().items()
    for family in FAMILIES
    if name not in LEFT_OUT and any(method.fits(part.name) for part in families()[family].parts)
]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("name", "family"), CELLS)
def test_a_step_learns_and_the_adapter_acts(
    narrow_base: Callable[[str, str], LoadedBase], tmp_path: Path, name: str, family: str, precision: str
) -> None:
    base = narrow_base(family, precision)
    parts = {part: plan_of(name, base, part, tmp_path) for part in parts_of(methods()[name], base)}
    with begun(base, parts) as training:
        largest = _watched(training)
        step = _first_learned(training)
        assert math.isfinite(step.loss)
        assert math.isfinite(step.gradient_norm)
        assert not step.skipped
        assert {parameter.dtype for parameter in training.parameters} == {torch.float32}
        assert {parameter.device.type for parameter in training.parameters} == {base.device.type}
        assert all(any(value > 0 for value in largest[part].values()) for part in parts), largest
        _use(base, training)


def _first_learned(training: Training) -> Step:
    """Return the first step that was not left out; in float16 the loss's scale falls until the gradients fit."""
    for step in train(training):
        assert math.isfinite(step.loss)
        if not step.skipped or training.loss_scale.scale == 1:
            return step
    raise AssertionError(f"no step of {training.step} was good; the scale is {training.loss_scale.scale:g} now")


def _watched(training: Training) -> dict[str, dict[str, float]]:
    """Return what will hold the largest gradient of every parameter that is trained, by part."""
    largest: dict[str, dict[str, float]] = {part: {} for part in training.config.parts}

    def keep(part: str, path: str, gradient: torch.Tensor) -> None:
        largest[part][path] = float(gradient.abs().max())

    for part in training.config.parts:
        for path, parameter in training.role.parts[part].named_parameters():
            if parameter.requires_grad:
                parameter.register_hook(lambda gradient, part=part, path=path: keep(part, path, gradient))
    return largest


def _use(base: LoadedBase, training: Training) -> None:
    """Sample with the trained adapter live, as a run does on its way."""
    live = Attachments(base, slots={"it": ADAPTER}, parts={"it": tuple(training.config.parts)})
    if PART in base.parts:
        ((_, answer),) = generate_texts(live, [TextRequest("num", plain=True, weights={"it": 1.0}, max_new_tokens=3)])
        assert answer.ended in ("end", "length")
    else:
        ((_, picture),) = generate(live, [ImageRequest("a <new> one", weights={"it": 1.0}, num_inference_steps=2)])
        assert picture.size == (32, 32)
