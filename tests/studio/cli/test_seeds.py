"""-1 is a drawn seed that is said and kept: in a run's settings, in a picture, in a comparison, in a blend's card."""

import csv
import re
from pathlib import Path

import pytest
import yaml
from PIL import ImageChops

from pipelines.compare.grid import plan_grid
from pipelines.generate import ImageRequest
from pipelines.image_file import read_settings
from pipelines.recipe import parse_recipe
from pipelines.text_request import TextRequest
from studio.cli.main import main
from studio.library.library import Library
from studio.operations.compare_plan import axis_values
from studio.runs.run import find_run
from tests.support import content_of
from trainers.config import parse_config
from trainers.data.images import open_image
from trainers.errors import UserError
from trainers.seeds import drawn_seed

CAPTURE = pytest.CaptureFixture[str]


def test_a_picture_keeps_the_drawn_seed(library: Library, tiny_base: Path, tmp_path: Path, capsys: CAPTURE) -> None:
    at = ["--base", str(tiny_base), "--device", "cpu", "--steps", "1"]
    assert main(["generate", "x", "--seed", "-1", "--count", "2", "--out", "two.png", *at]) == 0
    said = re.search(r"The seed is (\d+); give --seed \1 for the same again.", capsys.readouterr().err)
    assert said
    first, second = (read_settings(tmp_path / f"two-{number}.png")["seed"] for number in (1, 2))
    assert (first, second) == (int(said[1]), int(said[1]) + 1)
    assert main(["generate", "x", "--seed", "-1", "--out", "a.png", *at]) == 0
    said = re.search(r"The seed is (\d+)", capsys.readouterr().err)
    assert said
    assert main(["generate", "x", "--seed", said[1], "--out", "b.png", *at]) == 0
    pictures = [open_image(tmp_path / name) for name in ("a.png", "b.png")]
    assert ImageChops.difference(*pictures).getbbox() is None


@pytest.mark.parametrize("from_file", [False, True])
def test_a_run_keeps_it_and_is_resumed_with_it(
    library: Library, train: list[str], tmp_path: Path, capsys: CAPTURE, from_file: bool
) -> None:
    (tmp_path / "run.yaml").write_text("seed: -1\n")
    given = ["--config", str(tmp_path / "run.yaml")] if from_file else ["--seed", "-1"]
    assert main([*train, *given, "--judge", "none", "--sample-prompt", "x"]) == 0
    run = find_run(library, "new")
    kept = yaml.safe_load((run.folder / "config.yaml").read_text())["seed"]
    assert kept >= 0
    assert run.config().seed == run.config().seed == kept
    assert f"1 step, seed {kept}." in capsys.readouterr().out
    assert library.card("new").training["seed"] == kept
    assert main([*train[:-4], "--name", "again", "--steps", "1", "--seed", str(kept), "--judge", "none"]) == 0
    tensors = [
        {path: digest for path, digest in content_of(library.find(name)).items() if path.endswith(".safetensors")}
        for name in ("new", "again")
    ]
    assert tensors[0] == tensors[1]


def test_a_blend_and_a_comparison_keep_it(
    library: Library, tiny_base: Path, tiny_judge: Path, tmp_path: Path, capsys: CAPTURE
) -> None:
    at = ["--base", str(tiny_base), "--device", "cpu", "--steps", "1", "--judge", str(tiny_judge)]
    assert main(["blend", "one", "two", "--name", "mix", "--blend", "dare", "--seed", "-1", *at[:4]]) == 0
    said = re.search(r"The seed is (\d+)", capsys.readouterr().err)
    recipe = library.card("mix").recipe
    assert said
    assert recipe is not None
    assert recipe.seed == int(said[1])
    asked = ["compare", "--prompt", "x", "--mix", "one:1", "--weights", "0", "--seeds", "-1,3", *at]
    assert main(asked) == 0
    said = re.search(r"The seeds are (\d+),3;", capsys.readouterr().err)
    assert said
    with open(tmp_path / "grid.csv", newline="") as stream:
        assert {row["seed"] for row in csv.DictReader(stream)} == {said[1], "3"}


def test_whatever_takes_a_seed_draws_one() -> None:
    found = [
        ImageRequest("x", seed=-1).seed,
        TextRequest("x", seed=-1).seed,
        parse_recipe({"inputs": [{"adapter": "a"}], "seed": -1}).seed,
        parse_config({"data": "x", "name": "x", "seed": "-1"}).seed,
        *axis_values("seed", "-1,-1", "seeds"),
        drawn_seed(-1),
    ]
    assert all(0 <= seed < 2**31 for seed in found)
    assert len(set(found)) == len(found)
    cells = plan_grid({"a": {"a": 1.0}}, [0.0, 1.0], ["x", "y"], [-1], ImageRequest(""))
    assert len({cell.request.seed for cell in cells}) == 1
    assert drawn_seed(0) == 0


def test_other_seeds_below_zero_are_refused() -> None:
    for make in (
        lambda: ImageRequest("x", seed=-2),
        lambda: TextRequest("x", seed=-2),
        lambda: parse_recipe({"inputs": [{"adapter": "a"}], "seed": -2}),
        lambda: parse_config({"data": "x", "name": "x", "seed": -2}),
    ):
        with pytest.raises(UserError, match="-2"):
            make()
