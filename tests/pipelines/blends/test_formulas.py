"""Every blend's formula against one written down again in numpy and float64, and what must hold for all of them."""

import hashlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.blends import blends, find_blend
from pipelines.blends._blend import EXACT, LIVE, Layer
from pipelines.deltas import Delta, DenseDelta, LowRankDelta
from pipelines.factors import decompose
from pipelines.recipe import parse_settings
from trainers.errors import UserError

Array = np.ndarray[Any, np.dtype[np.float64]]


def layer_of(
    deltas: list[Delta], weights: list[float], *, path: str = "x", seed: int = 0, step: int = 0, steps: int = 1
) -> Layer:
    names = tuple("abcd"[: len(deltas)])
    inputs = dict(zip(names, weights, strict=True))
    return Layer("unet", path, names, tuple(deltas), tuple(weights), inputs, seed, step=step, steps=steps)


def run(name: str, layers: list[Layer], **settings: Any) -> list[Array]:
    blend = find_blend(name)
    values = parse_settings(blend, settings)
    shared = blend.prepare(layers, values) if blend.prepare is not None else None
    found = {(layer.part, layer.path): blend.combine(layer, values, shared) for layer in layers}
    finished = blend.finish(found, values, 4) if blend.finish is not None else found
    return [finished[layer.part, layer.path].dense().numpy() for layer in layers]


def low_rank(seed: int, shape: tuple[int, ...] = (7, 5), rank: int = 3) -> LowRankDelta:
    generator = torch.Generator().manual_seed(seed)
    up = (shape[0], rank, 1, 1) if len(shape) == 4 else (shape[0], rank)
    return LowRankDelta(
        torch.randn(up, generator=generator, dtype=torch.float64),
        torch.randn((rank, *shape[1:]), generator=generator, dtype=torch.float64),
    )


@st.composite
def inputs(draw: st.DrawFn, most: int = 3) -> tuple[list[Delta], list[float]]:
    count = draw(st.integers(1, most))
    shape = draw(st.sampled_from([(7, 5), (4, 9), (6, 3, 3, 3), (5, 4, 1, 1)]))
    seed = draw(st.integers(0, 10**6))
    deltas: list[Delta] = [low_rank(seed + n, shape, draw(st.integers(1, 6))) for n in range(count)]
    if draw(st.booleans()):
        deltas[0] = DenseDelta(deltas[0].dense())
    weights = st.floats(-2, 2).filter(lambda weight: abs(weight) > 0.01)
    return deltas, [draw(weights) for _ in range(count)]


def numpy_trim(value: Array, density: float) -> Array:
    size = max(1, round(value.size * density))
    border = np.sort(np.abs(value).ravel())[-size]
    return np.where(np.abs(value) >= border, value, 0.0)


def numpy_elect(values: list[Array], weights: list[float], normalise: bool) -> Array:
    shares = np.stack([v * w for v, w in zip(values, weights, strict=True)])
    result, voices = np.zeros(values[0].shape), np.zeros(values[0].shape)
    sign = np.sign(shares.sum(0))
    for share, weight in zip(shares, weights, strict=True):
        agree = (np.sign(share) == sign) & (share != 0)
        result += np.where(agree, share, 0)
        voices += np.where(agree, abs(weight), 0)
    return np.divide(result, voices, out=np.zeros_like(result), where=voices > 0) if normalise else result


def numpy_draws(name: str, shape: torch.Size, seed: int) -> Array:
    digest = hashlib.sha256(f"{seed}/{name}/unet/x".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.rand(shape, generator=generator, dtype=torch.float64).numpy()


@given(given_inputs=inputs())
@hypothesis_settings(max_examples=40)
def test_the_exact_sum_is_the_sum(given_inputs: tuple[list[Delta], list[float]]) -> None:
    deltas, weights = given_inputs
    expected = sum(d.dense().numpy() * w for d, w in zip(deltas, weights, strict=True))
    summands = sum(np.linalg.norm(d.dense()) * abs(w) for d, w in zip(deltas, weights, strict=True))
    for name in ("exact", "block"):
        (found,) = run(name, [layer_of(deltas, weights)])
        assert np.linalg.norm(found - expected) <= 1e-12 * summands


@given(given_inputs=inputs(), rank=st.integers(1, 9))
@hypothesis_settings(max_examples=40)
def test_the_svd_error_is_the_predicted_tail(given_inputs: tuple[list[Delta], list[float]], rank: int) -> None:
    deltas, weights = given_inputs
    exact = sum(d.dense().numpy() * w for d, w in zip(deltas, weights, strict=True))
    (found,) = run("svd", [layer_of(deltas, weights)], rank=rank)
    values = np.linalg.svd(np.asarray(exact).reshape(exact.shape[0], -1), compute_uv=False)
    tail = math.sqrt(float((values[rank:] ** 2).sum()))
    size = float(np.linalg.norm(values)) or 1.0
    assert np.linalg.norm(found - exact) == pytest.approx(tail, abs=1e-10 * size)
    assert np.linalg.matrix_rank(found.reshape(found.shape[0], -1), tol=1e-9 * size) <= rank
    whole = decompose(find_blend("exact").combine(layer_of(deltas, weights), None, None))
    assert whole.tail(rank) == pytest.approx(tail, abs=1e-10 * size)


@given(given_inputs=inputs(), density=st.floats(0.05, 1), normalise=st.booleans(), scale=st.floats(0.5, 2))
@hypothesis_settings(max_examples=40)
def test_ties_trims_elects_and_merges(
    given_inputs: tuple[list[Delta], list[float]], density: float, normalise: bool, scale: float
) -> None:
    deltas, weights = given_inputs
    (found,) = run("ties", [layer_of(deltas, weights)], density=density, normalise=normalise, scale=scale)
    trimmed = [numpy_trim(d.dense().numpy(), density) for d in deltas]
    assert np.allclose(found, scale * numpy_elect(trimmed, weights, normalise), atol=1e-10)


def test_ties_on_numbers_worked_out_by_hand() -> None:
    a, b = (DenseDelta(torch.tensor([row], dtype=torch.float64)) for row in ([4.0, -1, 3, 2], [2.0, 5, -4, 0.5]))
    # density 0.75 drops -1 and 0.5; signs of the sums: +, +, -, +; means of those that agree.
    (found,) = run("ties", [layer_of([a, b], [1.0, 1.0])], density=0.75)
    assert found.tolist() == [[3.0, 5.0, -4.0, 2.0]]
    (turned,) = run("ties", [layer_of([a, b], [1.0, -1.0])], density=0.75, normalise=False)
    assert turned.tolist() == [[4.0 - 0.0, -5.0, 7.0, 2.0]]  # 4 and −2 disagree, 4 wins; −5; 3 + 4; 2


@given(given_inputs=inputs(), density=st.floats(0.05, 1), seed=st.integers(0, 99), elect=st.booleans())
@hypothesis_settings(max_examples=30)
def test_dare_drops_by_its_seed_and_rescales(
    given_inputs: tuple[list[Delta], list[float]], density: float, seed: int, elect: bool
) -> None:
    deltas, weights = given_inputs
    layer = layer_of(deltas, weights, seed=seed)
    (found,) = run("dare", [layer], density=density, elect=elect)
    thinned = [
        np.where(numpy_draws(name, d.shape, seed) < density, d.dense().numpy() / density, 0)
        for name, d in zip(layer.names, deltas, strict=True)
    ]
    expected = numpy_elect(thinned, weights, False) if elect else sum(
        v * w for v, w in zip(thinned, weights, strict=True)
    )  # fmt: skip
    assert np.allclose(found, expected, atol=1e-10)


def test_dare_is_right_on_average_and_another_seed_draws_another_mask() -> None:
    delta = low_rank(1)
    runs = [run("dare", [layer_of([delta], [1.0], seed=seed)], density=0.5)[0] for seed in range(400)]
    assert not np.array_equal(runs[0], runs[1])
    spread = float(np.std(np.stack(runs), axis=0).max()) / math.sqrt(len(runs))
    assert np.abs(np.mean(runs, axis=0) - delta.dense().numpy()).max() < 5 * spread


@given(given_inputs=inputs(), density=st.floats(0.05, 1))
@hypothesis_settings(max_examples=20)
def test_magnitude_keeps_the_largest(given_inputs: tuple[list[Delta], list[float]], density: float) -> None:
    deltas, weights = given_inputs
    (found,) = run("magnitude", [layer_of(deltas, weights)], density=density)
    expected = sum(numpy_trim(d.dense().numpy(), density) * w for d, w in zip(deltas, weights, strict=True))
    assert np.allclose(found, expected, atol=1e-12)


@given(given_inputs=inputs(), density=st.floats(0.3, 0.7), window=st.floats(0, 0.5), seed=st.integers(0, 99))
@hypothesis_settings(max_examples=30)
def test_della_drops_small_entries_oftener(
    given_inputs: tuple[list[Delta], list[float]], density: float, window: float, seed: int
) -> None:
    deltas, weights = given_inputs
    layer = layer_of(deltas, weights, seed=seed)
    (found,) = run("della", [layer], density=density, window=window)
    thinned = []
    for name, delta in zip(layer.names, deltas, strict=True):
        value = delta.dense().numpy()
        rows = value.reshape(value.shape[0], -1)
        keep = np.zeros_like(rows)
        for r, row in enumerate(rows):
            for rank, column in enumerate(np.argsort(np.abs(row), kind="stable")):
                keep[r, column] = density - window * (0.5 - rank / max(len(row) - 1, 1))
        keep = keep.reshape(value.shape)
        thinned.append(np.where(numpy_draws(name, delta.shape, seed) < keep, value / keep, 0))
    assert np.allclose(found, numpy_elect(thinned, weights, True), atol=1e-9)


@given(given_inputs=inputs(), outliers=st.floats(0, 0.2), density=st.floats(0.1, 0.8))
@hypothesis_settings(max_examples=20)
def test_breadcrumbs_leaves_out_both_ends(
    given_inputs: tuple[list[Delta], list[float]], outliers: float, density: float
) -> None:
    deltas, weights = given_inputs
    (found,) = run("breadcrumbs", [layer_of(deltas, weights)], outliers=outliers, density=density)
    expected: Any = 0
    for delta, weight in zip(deltas, weights, strict=True):
        value = delta.dense().numpy().ravel()
        order = np.argsort(-np.abs(value), kind="stable")
        first = int(value.size * outliers)
        kept = order[first : first + max(1, round(value.size * density))]
        masked = np.zeros_like(value)
        masked[kept] = value[kept]
        expected = expected + weight * masked
    assert np.allclose(found.ravel(), expected, atol=1e-12)


@given(seed=st.integers(0, 10**6), first=st.floats(0.1, 2), second=st.floats(0.1, 2))
@hypothesis_settings(max_examples=30)
def test_slerp_follows_the_arc(seed: int, first: float, second: float) -> None:
    a, b = low_rank(seed), low_rank(seed + 1, rank=2)
    u, v = a.dense().numpy(), b.dense().numpy()
    cosine = float((u * v).sum() / np.linalg.norm(u) / np.linalg.norm(v))
    angle, t, whole = math.acos(cosine), second / (first + second), first + second
    expected = whole * (math.sin((1 - t) * angle) * u + math.sin(t * angle) * v) / math.sin(angle)
    (found,) = run("slerp", [layer_of([a, b], [first, second])])
    assert np.allclose(found, expected, atol=1e-9)
    layers = [layer_of([a, b], [first, second]), layer_of([b], [second], path="y")]
    straight = run("slerp", [layers[0]], angle_over="adapter")[0]
    assert np.allclose(straight, expected, atol=1e-9)  # one layer: both angles are the same
    equal = run("slerp", [layer_of([a, a], [first, second])])[0]
    assert np.allclose(equal, whole * u, atol=1e-9)


def test_slerp_refuses_what_has_no_arc() -> None:
    deltas: list[Delta] = [low_rank(n) for n in range(3)]
    for wrong, weights in ((deltas, [1.0, 1, 1]), (deltas[:2], [1.0, -1]), (deltas[:1], [1.0])):
        with pytest.raises(UserError, match="from one adapter to a second"):
            run("slerp", [layer_of(list(wrong), weights)])


def test_switching_takes_turns_and_klora_goes_over_once() -> None:
    a, b = low_rank(1), low_rank(2)
    turns = [
        run("switch", [layer_of([a, b], [0.5, 2.0], step=step, steps=6)], every=2)[0] for step in range(6)
    ]  # fmt: skip
    wanted = [a.dense() * 0.5] * 2 + [b.dense() * 2.0] * 2 + [a.dense() * 0.5] * 2
    assert all(np.allclose(found, expected) for found, expected in zip(turns, wanted, strict=True))

    count = a.rank * b.rank
    sums = [float(np.sort(np.abs(d.dense().numpy()).ravel())[-count:].sum()) for d in (a, b)]
    balance = float(a.dense().abs().sum() / b.dense().abs().sum())
    chosen = []
    for step in range(20):
        (found,) = run("klora", [layer_of([a, b], [1.0, 1.0], step=step, steps=20)], subject="a")
        subject = sums[0] >= sums[1] * balance * (1.5 * step / 20 + 0.5)
        assert np.allclose(found, (a if subject else b).dense().numpy())
        chosen.append(subject)
    assert chosen == sorted(chosen, reverse=True)
    assert 0 < sum(chosen) < 20


@pytest.mark.parametrize("name", sorted(blends()))
def test_every_blend_states_what_it_is_and_does_not_mind_the_order(name: str) -> None:
    blend = blends()[name]
    assert blend.title
    assert blend.source
    assert blend.kind in (EXACT, "with loss", LIVE)
    for field in blend.settings.model_fields.values():
        assert field.description
    if blend.tokens is not None or blend.learn is not None:
        return
    a, b, settings = low_rank(1), low_rank(2, rank=4), {"rank": 5} if name == "svd" else {}
    one = layer_of([a, b], [0.7, 0.4])
    other = Layer("unet", "x", ("b", "a"), (b, a), (0.4, 0.7), {"b": 0.4, "a": 0.7}, 0)
    assert np.allclose(run(name, [one], **settings)[0], run(name, [other], **settings)[0], atol=1e-12)


@given(
    seed=st.integers(0, 10**6),
    budget=st.sampled_from([("energy", 0.8), ("energy", 0.999), ("error_percent", 10), ("error_percent", 40)]),
)
@hypothesis_settings(max_examples=20)
def test_budgets_are_met_with_the_fewest_bytes_of_greedy_order(seed: int, budget: tuple[str, float]) -> None:
    layers = [
        layer_of([low_rank(seed, (9, 8), 4), low_rank(seed + 1, (9, 8), 2)], [1.0, 0.5]),
        layer_of([low_rank(seed + 2, (30, 5), 3)], [1.0], path="y"),
        layer_of([low_rank(seed + 3, (6, 3, 3, 3), 4)], [0.3], path="z"),
    ]
    name, value = budget
    full, found = run("exact", layers), run("svd", layers, **{name: value})
    size = sum(float(np.linalg.norm(v)) ** 2 for v in full)
    lost = sum(float(np.linalg.norm(v - w)) ** 2 for v, w in zip(full, found, strict=True))
    allowed = 1 - value if name == "energy" else (value / 100) ** 2
    assert lost / size <= allowed * (1 + 1e-9)
    # One direction less, the one that is worth least per byte, would break the budget.
    worth = []
    for kept in found:
        flat = kept.reshape(kept.shape[0], -1)
        values = np.linalg.svd(flat, compute_uv=False)
        worth += [(float(v**2) / sum(flat.shape), float(v**2)) for v in values if v > 1e-9]
    assert (lost + min(worth)[1]) / size > allowed


def test_a_size_is_kept_and_too_small_a_one_refused() -> None:
    layers = [layer_of([low_rank(n, (40, 30), 8)], [1.0], path=f"p{n}") for n in range(3)]
    for size_mb in (0.001, 0.003, 0.006):
        found = run("svd", layers, size_mb=size_mb)
        ranks = [np.linalg.matrix_rank(value, tol=1e-9) for value in found]
        cost = sum(int(rank) * 70 * 4 + (224 if rank else 0) for rank in ranks)
        assert cost <= size_mb * 1e6 < cost + 70 * 4 + 224
    with pytest.raises(UserError, match="too small"):
        run("svd", layers, size_mb=1e-4)
    with pytest.raises(UserError, match="needs a budget"):
        run("svd", layers)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("ties", {"densty": 0.5}, "densty"),
        ("ties", {"density": 0}, "a number above 0 is expected"),
        ("svd", {"rank": 4, "energy": 0.5}, "not several"),
        ("della", {"density": 0.1, "window": 0.5}, "must stay above 0"),
        ("breadcrumbs", {"density": 0.99, "outliers": 0.5}, "more than 1 together"),
    ],
)
def test_wrong_settings_are_named_with_those_that_exist(name: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        parse_settings(find_blend(name), settings)
    assert next(iter(find_blend(name).settings.model_fields)) in str(refused.value)
