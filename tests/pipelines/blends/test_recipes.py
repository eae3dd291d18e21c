"""Recipe files: they come back as they were written, and what is wrong with one is said."""

from pathlib import Path

import pytest

from pipelines.families import LoadedBase
from pipelines.mixing import Mixture
from pipelines.recipe import read_recipe, with_hashes, write_recipe
from tests.pipelines.blends.support import recipe_of
from tests.support import random_adapter
from trainers.errors import UserError


def test_recipes_come_back_from_their_files(tmp_path: Path, base: LoadedBase) -> None:
    adapters = {"a": random_adapter(base, "a")}
    recipe = with_hashes(
        recipe_of(
            blend="ties",
            settings={"density": 0.4},
            inputs=[{"adapter": "a", "weight": -0.5, "blocks": [1] * 26, "schedule": {"stop": 0.5}}],
        ),
        adapters,
    )
    for name in ("r.yaml", "r.json"):
        write_recipe(tmp_path / name, recipe)
        assert read_recipe(tmp_path / name) == recipe
    assert len(recipe.inputs[0].hash) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inputs: []", "inputs = \\[\\]: should hold at least one adapter"),
        ("blend: exakt\ninputs: [{adapter: a}]", "Did you mean 'exact'"),
        ("inputs: [{adapter: a, wieght: 1}]", "wieght"),
        ("inputs: [{adapter: a}, {adapter: a}]", "given twice"),
        ("inputs: [{adapter: a, weight: 0}]", "Every weight is 0"),
        ("inputs: [{adapter: a, blocks: [1, 2, 3]}]", "3 block weights"),
        ("blend: block\ninputs: [{adapter: a}]", "needs weights by block"),
        ("inputs: [{adapter: a, weight: .nan}]", "finite"),
        ("inputs: [{adapter", "cannot be read"),
        ("dtype: float8\ninputs: [{adapter: a}]", "float32"),
    ],
)
def test_a_broken_recipe_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        read_recipe(tmp_path / "r.yaml")
    with pytest.raises(UserError, match="does not exist"):
        read_recipe(tmp_path / "none.yaml")


def test_parts_and_bases_that_do_not_fit_the_recipe_are_refused(base: LoadedBase) -> None:
    adapters = {"a": random_adapter(base, "a")}
    with pytest.raises(UserError, match="parts that no input has"):
        Mixture(recipe_of(inputs=[{"adapter": "a", "parts": {"unett": 1}}]), adapters)
    with pytest.raises(UserError, match="written for the base"):
        Mixture(recipe_of(base="f" * 64, inputs=[{"adapter": "a"}]), adapters)
    Mixture(recipe_of(base=base.fingerprint, inputs=[{"adapter": "a"}]), adapters, base)
