"""Where adapters fight, from factors alone, against dense float64 computations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.compare.heat_map import Measure, draw_heat_map, value_colour
from pipelines.compare.sheet import fit_text, sheet_font
from pipelines.deltas import DenseDelta, LowRankDelta
from pipelines.interference import compare_adapters, effective_rank, measure_adapter, rank_for
from studio.operations.inspect_adapters import ONE_MEASURES, TWO_MEASURES


def low_rank(seed: int, shape: tuple[int, ...], rank: int) -> LowRankDelta:
    generator = torch.Generator().manual_seed(seed)
    up = (shape[0], rank, 1, 1) if len(shape) == 4 else (shape[0], rank)
    return LowRankDelta(
        torch.randn(up, generator=generator, dtype=torch.float64),
        torch.randn((rank, *shape[1:]), generator=generator, dtype=torch.float64),
    )


@given(
    shape=st.sampled_from([(20, 12), (9, 30), (16, 3, 3, 3)]),
    ranks=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 10**6),
)
@hypothesis_settings(max_examples=30)
def test_meetings_equal_the_dense_computation(shape: tuple[int, ...], ranks: tuple[int, int], seed: int) -> None:
    first, second = low_rank(seed, shape, ranks[0]), low_rank(seed + 1, shape, ranks[1])
    (found,) = compare_adapters({"unet": {"x": first}}, {"unet": {"x": second}}, lambda part, path: 7.0)
    a, b = (d.dense().numpy().reshape(shape[0], -1) for d in (first, second))
    assert found.cosine == pytest.approx(float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)), abs=1e-10)
    for value, x, y in ((found.outputs, a, b), (found.inputs, a.T, b.T)):
        left = [np.linalg.svd(m, full_matrices=False) for m in (x, y)]
        bases = [u[:, :rank] for (u, _, _), rank in zip(left, ranks, strict=True)]
        assert value == pytest.approx(np.linalg.norm(bases[0].T @ bases[1]) ** 2 / min(ranks), abs=1e-8)
    products = a * b  # fewer than 64 rows, so all of them are looked at
    assert found.conflict == pytest.approx(np.abs(products[products < 0]).sum() / np.abs(products).sum())
    assert found.norms == pytest.approx((np.linalg.norm(a), np.linalg.norm(b)))
    assert found.base_norm == 7.0


def test_same_opposite_and_strangers() -> None:
    delta = low_rank(1, (30, 20), 4)
    ((same,), (opposite,)) = (
        compare_adapters({"unet": {"x": delta}}, {"unet": {"x": delta.scaled(factor)}}) for factor in (2.0, -1.0)
    )
    assert (same.cosine, same.conflict) == pytest.approx((1, 0))
    assert (opposite.cosine, opposite.conflict) == pytest.approx((-1, 1))
    assert same.outputs == pytest.approx(1)
    assert compare_adapters({"unet": {"x": delta}}, {"unet": {"y": delta}}) == []
    strangers = [compare_adapters({"unet": {"x": low_rank(n, (400, 400), 8)}},
                                  {"unet": {"x": low_rank(n + 99, (400, 400), 8)}})[0] for n in range(8)]  # fmt: skip
    assert np.mean([m.outputs for m in strangers]) == pytest.approx(strangers[0].chance, rel=0.3)
    assert np.mean([m.conflict for m in strangers]) == pytest.approx(0.5, abs=0.05)


def test_ranks_and_energies_of_one_adapter() -> None:
    values = torch.tensor([2.0, 2.0, 2.0, 2.0, 0.0], dtype=torch.float64)
    assert effective_rank(values) == pytest.approx(4)
    assert effective_rank(torch.zeros(3)) == 0
    assert [rank_for(torch.tensor([3.0, 2.0, 1.0]), share) for share in (0.6, 0.65, 0.9, 0.95, 1.0)] == [1, 2, 2, 3, 3]
    loud, quiet = low_rank(1, (8, 8), 2), DenseDelta(torch.eye(8, dtype=torch.float64) * 1e-3)
    rooms = {
        room.layer: room for room in measure_adapter({"unet": {"a": loud, "b": quiet, "c": DenseDelta(torch.ones(3))}})
    }
    assert set(rooms) == {"a", "b"}
    assert sum(room.share for room in rooms.values()) == pytest.approx(1)
    assert rooms["b"].effective == pytest.approx(8)
    assert rooms["a"].size == pytest.approx(float(loud.dense().norm()))


def test_the_font_has_every_letter_of_the_heat_map() -> None:
    missing = bytes(sheet_font(12).getmask("\uffff"))
    for measure in (*ONE_MEASURES, *TWO_MEASURES):
        shown = measure.title + measure.form.format(0.5)
        assert [letter for letter in shown if bytes(sheet_font(12).getmask(letter)) == missing] == []
        assert fit_text(measure.title, sheet_font(12), 104) == measure.title


def test_the_heat_map_colours_by_value() -> None:
    measure = Measure("cosine", -1, 1, neutral=0)
    cold, paper, hot = (value_colour(value, measure) for value in (-1, 0, 1))
    assert cold[2] > cold[0]
    assert hot[0] > hot[2]
    assert min(paper) > 240
    ratio = Measure("A / B", 0.25, 4, neutral=1, ratio=True)
    half, twice = (np.array(value_colour(value, ratio)) - paper for value in (0.5, 2))
    ends = [np.array(value_colour(value, ratio)) - paper for value in (0.25, 4)]
    assert np.abs(2 * half - ends[0]).max() <= 1
    assert np.abs(2 * twice - ends[1]).max() <= 1
    picture = np.asarray(draw_heat_map({"a": [1.0], "b": [math.nan]}, [measure], title="t"))
    assert (picture == np.array(hot)).all(axis=2).sum() > 1000
    assert (picture[96 + 30 : 96 + 56, 245:340] == 255).all()
