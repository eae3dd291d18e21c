"""Every sampler draws the picture that its base means, and a file dropped into the registry is a choice everywhere."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pipelines.samplers
from pipelines.attach import attached
from pipelines.bases import load_base
from pipelines.compare.grid import plan_grid
from pipelines.families import ImageBase, families
from pipelines.generate import ImageRequest, generate
from pipelines.image_file import read_settings, write_image
from pipelines.image_settings import read_image_settings
from pipelines.samplers import AUTO, build_sampler, find_sampler, sampler_names, samplers, samplers_for
from studio.cli.main import main
from tests.dropped import dropped
from trainers.errors import UserError

ZEBRA = """
import dataclasses
from pipelines.samplers.euler import SAMPLER as EULER
SAMPLER = dataclasses.replace(EULER, name="zebra", title="Zebra")
"""
DIFFUSION = samplers_for("epsilon")


@pytest.fixture
def zebra(tmp_path: Path) -> Iterator[None]:
    with dropped(pipelines.samplers, samplers, tmp_path, ZEBRA):
        yield


@pytest.fixture(scope="module", params=[name for name, family in families().items() if family.role == "picture"])
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ImageBase:
    folder = tmp_path_factory.mktemp("base") / request.param
    families()[request.param].tiny(folder)
    base: Any = load_base(str(folder), device="cpu")
    return base


def drawn(base: ImageBase, *, steps: int, sampler: str = AUTO, told: list[int] | None = None) -> np.ndarray:
    request = ImageRequest("a boat", num_inference_steps=steps, guidance_scale=1.0, sampler=sampler)
    with attached(base, {}) as attachments:
        ((_, picture),) = generate(attachments, [request], on_step=lambda done, total: (told or []).append(done))
    return np.asarray(picture).astype(float)


def test_every_sampler_comes_to_the_picture_of_the_bases_own_with_many_steps(toy: ImageBase) -> None:
    own = drawn(toy, steps=120)
    for name in samplers_for(toy.prediction):
        assert np.sqrt(((drawn(toy, steps=120, sampler=name) - own) ** 2).mean()) < 2.0, name


def test_auto_is_the_bases_own_bit_for_bit_also_after_another(toy: ImageBase) -> None:
    before = drawn(toy, steps=3)
    scheduler = toy.scheduler_of(AUTO)
    for name in samplers_for(toy.prediction):
        told: list[int] = []
        first, again = (drawn(toy, steps=3, sampler=name, told=told) for _ in range(2))
        assert np.array_equal(first, again), name
        assert (drawn(toy, steps=3) == before).all(), name
    assert toy.scheduler_of(AUTO) is scheduler


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # numpy 2 and diffusers' schedulers
@pytest.mark.parametrize("name", samplers())
def test_a_sampler_takes_one_step_for_each_that_is_asked_for(name: str) -> None:
    sampler = find_sampler(name)
    scheduler = sampler.build({"num_train_timesteps": 1000})
    scheduler.set_timesteps(7)
    assert (sampler.name, len(scheduler.timesteps)) == (name, 7)
    assert sampler.title
    assert sampler.source
    assert sampler.predictions <= {"epsilon", "v_prediction", "flow"}


def test_a_sampler_that_does_not_suit_or_is_unknown_is_told_before_anything_is_drawn(toy: ImageBase) -> None:
    unfit, fitting = ("ddim", "flow_euler") if toy.prediction == "flow" else ("flow_euler", "ddim")
    said = rf"'{unfit}' does not suit a base that predicts '{toy.prediction}'. These do: auto, {fitting}"
    with pytest.raises(UserError, match=said):
        drawn(toy, steps=1, sampler=unfit)
    with pytest.raises(UserError, match=r"does not suit a base that predicts 'flow'. These do: auto, flow_euler\."):
        build_sampler("euler", None, "flow")
    with pytest.raises(UserError, match="Sampler 'eulr'"):
        ImageRequest("a boat", sampler="eulr")


def test_samplers_are_an_axis_of_a_grid() -> None:
    cells = plan_grid(
        {"a": {"a": 1.0}}, [1.0], ["p"], [0], ImageRequest(""), rows=("prompt", "seed", "sampler"),
        more={"sampler": ["auto", "euler"]},
    )  # fmt: skip
    assert {(cell.request.sampler, cell.setting) for cell in cells} == {("auto", "auto"), ("euler", "euler")}
    with pytest.raises(UserError, match="Sampler 'eulr'"):
        plan_grid({"a": {"a": 1.0}}, [1.0], ["p"], [0], ImageRequest(""), more={"sampler": ["eulr"]})


@pytest.mark.usefixtures("zebra")
def test_a_dropped_file_is_a_choice_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "zebra" in sampler_names()
    for command in ("generate", "compare"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "zebra" in capsys.readouterr().out
    base = {"name": "pocket", "family": "sd1", "fingerprint": "ab" * 32, "sampler": "DDIM"}
    path = tmp_path / "picture.png"
    write_image(path, Image.new("RGB", (8, 8)), ImageRequest("a boat", sampler="zebra"), base)
    assert (read_settings(path) or {})["sampler"] == "zebra"
    assert read_image_settings(path).values["sampler"] == "zebra"
    with Image.open(path) as picture:
        assert "Sampler: Zebra" in getattr(picture, "text", {})["parameters"]


def test_listing_samplers_loads_no_model_library() -> None:
    code = "import sys; from pipelines.samplers import samplers; samplers(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert torch.__version__
