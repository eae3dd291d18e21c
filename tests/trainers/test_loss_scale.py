"""float16 with loss scaling: the scale never shows in a step, and follows overflows."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support import draw_pictures
from trainers.config import parse_config
from trainers.data.images import read_folder
from trainers.data.latents import encode_latents
from trainers.image_task import ImageTask
from trainers.loop import Training, begin, restore, snapshot, train
from trainers.precision import LossScale


def test_an_overflow_halves_the_scale_and_many_good_steps_double_it() -> None:
    scale = LossScale(2.0**14)
    scale.after_step(usable=False)
    assert (scale.scale, scale.good_steps) == (2.0**13, 0)
    for _ in range(199):
        scale.after_step(usable=True)
    assert (scale.scale, scale.good_steps) == (2.0**13, 199)
    scale.after_step(usable=True)
    assert (scale.scale, scale.good_steps) == (2.0**14, 0)
    for _ in range(40):
        scale.after_step(usable=False)
    assert scale.scale == 2.0, "a scale of 1 would end the scaling"


def test_formats_that_need_no_scale_have_none() -> None:
    scale = LossScale()
    scale.after_step(usable=False)
    scale.after_step(usable=True)
    assert scale == LossScale(1.0, 0)


def test_dividing_gives_the_gradients_back_bit_for_bit() -> None:
    parameter = nn.Parameter(torch.randn(50, generator=torch.Generator().manual_seed(0)))
    plain = torch.randn(50, generator=torch.Generator().manual_seed(1))
    parameter.grad = plain * 2.0**14
    LossScale(2.0**14).divide([parameter, nn.Parameter(torch.ones(1))])
    assert torch.equal(parameter.grad, plain)


@pytest.fixture
def half(tiny_base: Path, tmp_path: Path) -> Training:
    """A training of three steps on a base in float16."""
    from pipelines.bases import load_image_base

    base = load_image_base(str(tiny_base), device="cpu", precision="fp16")
    folder = draw_pictures(tmp_path / "drawn", 2)
    config = parse_config(
        {"base": str(tiny_base), "data": str(folder), "name": "x", "steps": 4, "batch_size": 2, "warmup_steps": 1}
    )
    latents = [found for _, found in encode_latents(base, read_folder(folder).pictures, size_px=32, flip=False)][-1]
    assert latents is not None
    return begin(config, ImageTask(config, base, latents))


def test_a_step_in_float16_learns_and_its_scale_is_kept_in_checkpoints(half: Training) -> None:
    assert half.loss_scale.scale == 2.0**14
    steps = train(half)
    done = next(steps)
    assert not done.skipped
    assert {parameter.dtype for parameter in half.parameters} == {torch.float32}
    half.loss_scale = LossScale(2.0**9, 7)
    kept = snapshot(half)
    next(steps)
    restore(half, kept)
    assert half.loss_scale == LossScale(2.0**9, 7)


def test_an_overflow_leaves_the_step_out_and_the_weights_as_they_were(half: Training) -> None:
    half.loss_scale = LossScale(2.0**126)
    before = [parameter.detach().clone() for parameter in half.parameters]
    done = next(train(half))
    assert done.skipped
    assert half.loss_scale.scale == 2.0**125
    assert all(torch.equal(one, other) for one, other in zip(before, half.parameters, strict=True))
