"""Grids over all axes: what each value does to a cell, pages, the base, resuming, intervals, and blind votes."""

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.attach import attached
from pipelines.compare.grid import AXES, Cell, plan_grid
from pipelines.compare.index import Entry, read_index, write_index
from pipelines.compare.scores import ScoredCell, draw_cells, summarise
from pipelines.compare.store import ImageStore
from pipelines.compare.votes import cast, draw_pair, pairs_to_vote, read_votes, tally, wilson
from pipelines.families import LoadedBase
from pipelines.generate import ImageRequest
from pipelines.live import LiveRecipes
from pipelines.metrics import half_width
from pipelines.recipe import content_hash
from tests.support import random_adapter
from trainers.errors import UserError

TEMPLATE = ImageRequest("", num_inference_steps=2, guidance_scale=3.0)


def plan(**values: Any) -> list[Cell]:
    mixtures = values.pop("mixtures", {"a": {"a": 1.0}})
    more = values.pop("more", {})
    columns = ("adapter", "weight", *(axis for axis in more if axis not in values.get("pages", ())))
    return plan_grid(mixtures, values.pop("weights", [1.0]), ["p"], values.pop("seeds", [0]), TEMPLATE,
                     columns=columns, more=more, **values)  # fmt: skip


def test_values_of_the_axes_become_recipes_names_and_settings() -> None:
    names = plan(mixtures={"style-{method}": {"style-{method}": 1.0}}, more={"method": ["lora", "dora"]})
    assert [dict(cell.request.weights) for cell in names] == [{"style-lora": 1.0}, {"style-dora": 1.0}]
    ranks = plan(more={"rank": ["4", "full"]})
    assert ranks[0].request.recipe is not None
    assert (ranks[0].request.recipe.blend, ranks[0].request.recipe.settings) == ("svd", {"rank": 4})
    assert dict(ranks[1].request.weights) == {"a": 1.0}
    filled = plan(mixtures={"s{rank}": {"s{rank}": 1.0}}, more={"rank": ["4", "8"]})
    assert [dict(cell.request.weights) for cell in filled] == [{"s4": 1.0}, {"s8": 1.0}]
    num_inference_steps = plan(more={"step": ["50", "final"]})
    assert [dict(cell.request.weights) for cell in num_inference_steps] == [{"a@50": 1.0}, {"a": 1.0}]
    blends = plan(mixtures={"m": {"a": 1.0, "b": -0.5}}, weights=[0.5], more={"blend": ["exact", "ties density=0.3"]})
    assert dict(blends[0].request.weights) == {"a": 0.5, "b": -0.25}
    recipe = blends[1].request.recipe
    assert recipe is not None
    assert (recipe.blend, recipe.settings) == ("ties", {"density": 0.3})
    assert {item.adapter: item.weight for item in recipe.inputs} == {"a": 0.5, "b": -0.25}
    blocks = [cell.request.recipe for cell in plan(more={"block": ["IN05", "-mid_block", "all"]})]
    assert blocks[0] is not None
    assert blocks[1] is not None
    assert blocks[0].inputs[0].blocks == {"IN05": 1.0, "default": 0.0}
    assert blocks[1].inputs[0].blocks == {"mid_block": 0.0, "default": 1.0}
    assert blocks[2] is None
    settings = plan(more={"guidance_scale": [2.0, 5.0], "num_inference_steps": [2, 4], "base": ["x", "y"]})
    found = {(cell.request.guidance_scale, cell.request.num_inference_steps, cell.base) for cell in settings}
    assert found == set(itertools.product([2.0, 5.0], [2, 4], ["x", "y"]))
    assert len({cell.setting for cell in settings}) == 8


def test_a_third_axis_makes_pages_and_the_base_is_always_there() -> None:
    cells = plan(more={"block": ["all", "M00"]}, pages=("block",), with_base=True, seeds=[0, 1])
    assert list(dict.fromkeys(cell.page for cell in cells)) == ["block all", "block M00"]
    for page in ("block all", "block M00"):
        assert {cell.column for cell in cells if cell.page == page} == {"base", "a"}
    plain = plan(with_base=True, seeds=[0, 1])
    assert [cell.column for cell in plain] == ["base", "a", "base", "a"]
    assert [dict(cell.request.weights) for cell in plain] == [{}, {"a": 1.0}] * 2
    with_zero = plan(with_base=True, weights=[0.0, 1.0])
    assert [cell.column for cell in with_zero] == ["base", "a 1"]
    for row in {cell.row for cell in plain}:
        assert len({cell.request.seed for cell in plain if cell.row == row}) == 1  # the same noise along a row


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"colour": [1]}, "Axis 'colour' is unknown"),
        ({"blend": ["tise"]}, "Did you mean 'ties'"),
        ({"blend": ["ties density"]}, "KEY=VALUE"),
        ({"blend": ["ties dens=1"]}, "dens"),
    ],
)
def test_values_that_cannot_be_used_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        plan(more=more)
    assert len(AXES) == 13


def test_an_axis_that_varies_must_have_a_place() -> None:
    with pytest.raises(UserError, match="guidance_scale missing"):
        plan_grid({"a": {"a": 1}}, [1], ["p"], [0], TEMPLATE, more={"guidance_scale": [1, 2]})


def test_drawing_goes_on_where_it_was_stopped(base: LoadedBase, tmp_path: Path) -> None:
    adapters = {"a": random_adapter(base, "a", size=0.3)}
    cells = plan(more={"rank": ["2", "full"]}, with_base=True, seeds=[0, 1])
    facts = {"name": "t", "family": "sd1", "fingerprint": base.fingerprint, "sampler": "DDIM"}
    store = ImageStore(tmp_path, facts, {"a": content_hash(adapters["a"])})
    recipes = LiveRecipes(base, adapters)

    class Stop(Exception):
        pass

    def stop_at(limit: int) -> Any:
        def told(done: int, total: int) -> None:
            if done > limit:
                raise Stop

        return told

    with attached(base, adapters) as attachments:
        with pytest.raises(Stop):
            draw_cells(attachments, cells, recipes=recipes, store=store, on_step=stop_at(2))
        first = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.png")}
        assert 0 < len(first) < 6
        resumed = draw_cells(attachments, cells, recipes=recipes, store=store)
        fresh = draw_cells(attachments, cells, recipes=recipes)
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.png")}
    assert len(files) == 6
    assert all(files[name] == moment for name, moment in first.items())
    assert all(a.tobytes() == b.tobytes() for a, b in zip(resumed, fresh, strict=True))
    assert len({picture.tobytes() for picture in fresh}) == 6
    changed = dataclasses.replace(store, hashes={"a": "0" * 64})
    assert [changed.read(cell) is None for cell in cells] == [cell.column != "base" for cell in cells]
    (tmp_path / store.path(cells[0]).name).write_bytes(b"torn")
    assert store.read(cells[0]) is None


def test_intervals_are_over_seeds() -> None:
    values = [0.1, 0.4, 0.35]
    expected = 4.303 * np.std(values, ddof=1) / math.sqrt(3)
    assert half_width(values) == pytest.approx(expected)
    assert math.isnan(half_width([0.3]))
    assert half_width(list(np.linspace(0, 1, 40))) == pytest.approx(
        1.96 * np.std(np.linspace(0, 1, 40), ddof=1) / math.sqrt(40)
    )
    picture = Image.new("RGB", (4, 4))
    scores = {(0, "p"): 0.1, (0, "q"): 0.3, (1, "p"): 0.5, (1, "q"): 0.9}
    cells = plan_grid({"a": {"a": 1.0}}, [1.0], ["p", "q"], [0, 1], TEMPLATE)
    fixed = {"clip_i:a": 0.5, "subject_clip_t": 0.2, "absent_clip_t": 0.0}
    scored = [ScoredCell(c, picture, {"clip_t": scores[c.request.seed, c.request.prompt], **fixed}) for c in cells]
    (summary,) = summarise(scored, {"a": torch.eye(3)})
    assert (summary.seeds, summary.pictures) == (2, 4)
    assert summary.value("clip_t") == pytest.approx(0.45)
    assert summary.half_width("clip_t") == pytest.approx(12.706 * np.std([0.2, 0.7], ddof=1) / math.sqrt(2))
    assert summary.half_width("clip_i", "a") == 0


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    found = []
    for number, (prompt, look) in enumerate(itertools.product(["boat", "house"], ["base", "a", "b"])):
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
        found.append(Entry(f"{number}.png", look, prompt, 7, ""))
    write_index(tmp_path, found)
    return found


def test_votes_are_blind_preference_pairs(tmp_path: Path, entries: list[Entry]) -> None:
    assert read_index(tmp_path) == entries
    pairs = pairs_to_vote(entries, [])
    assert len(pairs) == 2 * 3
    assert all(p.left.prompt == p.right.prompt and p.left.look != p.right.look for p in pairs)
    assert pairs == pairs_to_vote(entries, [])
    assert {p.left.look for p in pairs} == {"base", "a", "b"}  # sides are drawn
    choices = itertools.cycle(["left", "right", "tie"])
    for pair in pairs[:4]:
        cast(tmp_path, pair, next(choices))  # type: ignore[arg-type]
    lines = [json.loads(line) for line in (tmp_path / "votes.jsonl").read_text().splitlines()]
    assert len(lines) == 4
    first, second = lines[0], lines[1]
    assert (first["prompt"], first["seed"]) == (pairs[0].left.prompt, 7)
    assert (first["chosen"], first["rejected"]) == (pairs[0].left.file, pairs[0].right.file)
    assert (second["chosen"], second["rejected"]) == (pairs[1].right.file, pairs[1].left.file)
    assert lines[2]["chosen"] is None
    left = pairs_to_vote(entries, read_votes(tmp_path))
    assert len(left) == 2
    assert {frozenset((p.left.file, p.right.file)) for p in left} == {
        frozenset((p.left.file, p.right.file)) for p in pairs[4:]
    }
    counted = tally(read_votes(tmp_path))
    assert sum(wins for wins, *_ in counted.values()) == 4
    assert sum(count for _, count, *_ in counted.values()) == 8
    low, high = wilson(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-3)  # Wilson 1927, z = 1.96
    both = np.asarray(draw_pair(tmp_path, pairs[0], side_px=16))
    assert both.shape == (16, 56, 3)
    assert both[0, 0, 0] == 40 * int(pairs[0].left.file[0])
    assert both[0, -1, 0] == 40 * int(pairs[0].right.file[0])


def test_broken_votes_and_indices_are_named(tmp_path: Path, entries: list[Entry]) -> None:
    (tmp_path / "votes.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="cannot be read"):
        read_votes(tmp_path)
    write_index(tmp_path, [dataclasses.replace(entries[0], file="../secret.png")])
    with pytest.raises(UserError, match="not a file beside it"):
        read_index(tmp_path)
    (tmp_path / "index.json").write_text('{"cells": [{}]}')
    with pytest.raises(UserError, match="is broken"):
        read_index(tmp_path)
