"""Every cell of the table methods × parts keeps every promise of its record."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import bits
from tests.trainers.methods import cells
from trainers.errors import UserError
from trainers.method import TIMES_THE_DELTA
from trainers.methods import Learner, find_method
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.hosts import features
from trainers.tuners.merging import merge

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT and torch warn of what is meant here


@pytest.fixture
def cell(request: pytest.FixtureRequest, tiny_base: Path) -> Iterator[Any]:
    """Give (method, model); the model is checked to be untouched afterwards."""
    name, model_name = request.param
    model = cells.model(model_name, tiny_base)
    with cells.untouched(model):
        yield find_method(name), model


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the largest difference as a share of the largest wanted value."""
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6))


def every_cell(chosen: Any = lambda method: True) -> Any:
    found = cells.cells(chosen)
    return pytest.mark.parametrize("cell", found, ids=[f"{name}-{model}" for name, model in found], indirect=True)


def every_own() -> Any:
    return pytest.mark.parametrize(("name", "model_name"), cells.cells())


@every_cell()
def test_a_fresh_adapter_changes_nothing_and_learns_alone(cell: Any) -> None:
    """And a course that stops half-way and goes on ends bit for bit where it would have ended."""
    method, model = cell
    before = cells.output(model)
    cells.attach(method, model)
    drift = difference(cells.output(model), before)
    assert bool(method.starts_changed) == (drift > 1e-4), drift
    optimizer, course = _learning(method, model)
    losses = _steps(model, optimizer, course, range(3))
    kept = bridge.read_state(model.module, "a"), copy.deepcopy(optimizer.state_dict()), course.state()
    losses += _steps(model, optimizer, course, range(3, 5))
    assert losses[-1] < losses[0], losses
    assert all(value.grad is None for value in _base_parameters(model))
    assert not torch.equal(cells.output(model), before)
    bridge.set_weights(model.module, {})
    assert torch.equal(cells.output(model), before)
    wanted = bits(bridge.read_state(model.module, "a"))
    bridge.detach(model.module, "a")
    cells.attach(method, model, seed=99)
    optimizer, course = _learning(method, model)
    bridge.load_state(model.module, "a", kept[0], what=model.part)
    optimizer.load_state_dict(kept[1])
    course.restore(kept[2])
    _steps(model, optimizer, course, range(3, 5))
    assert bits(bridge.read_state(model.module, "a")) == wanted


def _learning(method: Any, model: Any) -> tuple[torch.optim.Optimizer, Any]:
    own = bridge.adapter_parameters(model.module, "a")
    trained = {name for name, parameter in model.module.named_parameters() if parameter.requires_grad}
    assert trained <= own.keys()
    optimizer = torch.optim.Adam([own[name] for name in sorted(trained)], lr=_rate(method, model))
    return optimizer, method.course(Learner(model.module, "a", cells.settings_of(method, model), 5))


def _steps(model: Any, optimizer: torch.optim.Optimizer, course: Any, steps: range) -> list[float]:
    losses = []
    for step in steps:
        course.before_step(step, torch.Generator().manual_seed(step))
        value, penalty = cells.loss(model), course.penalty()
        (value if penalty is None else value + penalty).backward()
        losses.append(float(value.detach()))
        optimizer.step()
        course.after_step(step, skipped=False)
        optimizer.zero_grad(set_to_none=True)
    return losses


def _base_parameters(model: Any) -> list[torch.nn.Parameter]:
    own = bridge.adapter_parameters(model.module, "a")
    return [value for name, value in model.module.named_parameters() if name not in own]


def _rate(method: Any, model: Any) -> float:
    return min(3e-2, 3 * float(method.recommendation(model.part).learning_rate))


@every_cell()
def test_what_is_saved_loads_with_the_same_effect(cell: Any) -> None:
    method, model = cell
    config = cells.attach(method, model)
    cells.disturb(model)
    wanted = cells.output(model)
    part = cells.saved(method, model, config)
    state = bridge.read_state(model.module, "a")
    bridge.detach(model.module, "a")
    torch.manual_seed(99)
    cells.load(model, part, "other")
    found = cells.output(model)
    assert bits(bridge.read_state(model.module, "other")) == bits(part.tensors)
    if method.fold is None:
        assert torch.equal(found, wanted)
        assert bits(part.tensors) == bits(state)
    else:
        assert (difference(found, wanted) < 2e-5) == (not method.loads_changed)


@every_cell()
def test_adapters_coexist_and_each_has_its_weight(cell: Any) -> None:
    method, model = cell
    base = cells.output(model)
    alone = {}
    for name, seed in (("a", 1), ("b", 2)):
        config = cells.attach(method, model, name, seed)
        cells.disturb(model, name, seed)
    for name in ("a", "b"):
        bridge.set_weights(model.module, {name: 1.0})
        alone[name] = cells.output(model)
    assert not torch.equal(alone["a"], alone["b"])
    bridge.set_weights(model.module, {"a": 1.0, "b": 1.0})
    both = cells.output(model)
    assert not torch.equal(both, alone["a"])
    assert not torch.equal(both, alone["b"])
    half = cells.output_at(model, {"a": 0.5})
    assert not torch.equal(half, alone["a"])
    assert not torch.equal(half, base)
    if not method.loads_changed:
        _check_merging(method, model, {"a": 0.6, "b": -0.3}, base)
    bridge.set_weights(model.module, {"a": 0.0, "b": 0.0})
    assert torch.equal(cells.output(model), base)
    bridge.detach(model.module, "a")
    bridge.set_weights(model.module, {"b": 1.0})
    assert torch.equal(cells.output(model), alone["b"])
    if method.loads_changed:  # what is trained is not what is used: only the latter can be merged
        cells.load(model, cells.saved(method, model, config, "b"), "loaded")
        _check_merging(method, model, {"loaded": 0.6}, base)


def _check_merging(method: Any, model: Any, weights: dict[str, float], base: torch.Tensor) -> None:
    """Merged is attached within the record's tolerance, unmerging restores, and what cannot be merged says so."""
    wanted = cells.output_at(model, weights)
    if not method.mergeable:
        with pytest.raises(UserError, match="no change of the weights"):
            merge(model.module, weights, what=model.part)
        assert torch.equal(cells.output(model), wanted)
        return
    own = dict(model.module.named_parameters())
    unmerge = merge(model.module, weights, what=model.part)
    merged = cells.output(model)
    assert not torch.equal(merged, base)
    assert difference(merged, wanted) <= method.merge_tolerance
    unmerge()
    assert torch.equal(cells.output(model), base)
    assert all(value is own[name] for name, value in model.module.named_parameters())


@every_cell()
def test_it_nests_with_lora_in_either_order(cell: Any) -> None:
    method, model = cell
    lora = find_method("lora")
    results = []
    for order in (("lora", "own"), ("own", "lora")):
        for name in order:
            chosen = lora if name == "lora" else method
            cells.attach(chosen, model, name, seed=3)
            cells.disturb(model, name, seed=4)
        keys = set(bridge.read_state(model.module, "own"))
        bridge.set_weights(model.module, {"lora": 0.7, "own": 0.6})
        results.append(cells.output(model))
        bridge.set_weights(model.module, {"own": 1.0})
        alone = cells.output(model)
        bridge.detach(model.module, "lora")
        bridge.set_weights(model.module, {"own": 1.0})
        assert torch.equal(cells.output(model), alone)
        assert set(bridge.read_state(model.module, "own")) == keys
        assert not any("base_layer" in key for key in keys)
        bridge.detach(model.module, "own")
    assert difference(*results) < 1e-5


@every_own()
def test_gradient_checkpointing_gives_the_same_gradients(name: str, model_name: str, tiny_base: Path) -> None:
    method, model = find_method(name), cells.own_model(model_name, tiny_base)
    cells.attach(method, model)
    cells.disturb(model)
    model.module.train()
    gradients = []
    for switch in (None, "enable_gradient_checkpointing", "gradient_checkpointing_enable"):
        if switch is not None:
            if not hasattr(model.module, switch):
                continue
            getattr(model.module, switch)()
        torch.manual_seed(0)  # some draw while they are trained
        cells.loss(model).backward()
        own = bridge.adapter_parameters(model.module, "a")
        gradients.append({path: p.grad.clone() for path, p in own.items() if p.grad is not None})
        model.module.zero_grad(set_to_none=True)
    assert gradients[0]
    assert gradients[0].keys() == gradients[1].keys()
    for path, value in gradients[0].items():
        assert difference(gradients[1][path], value) < 1e-4, path


@every_own()
def test_a_bf16_base_carries_it(name: str, model_name: str, tiny_base: Path) -> None:
    method, model = find_method(name), cells.own_model(model_name, tiny_base)
    model.module.to(torch.bfloat16)
    base = cells.output(model)
    cells.attach(method, model)
    assert all(p.dtype == torch.float32 for p in bridge.adapter_parameters(model.module, "a").values())
    cells.disturb(model)
    cells.loss(model).backward()
    own = bridge.adapter_parameters(model.module, "a").values()
    assert any(p.grad is not None and bool(p.grad.any()) for p in own)
    assert all(torch.isfinite(p.grad).all() for p in own if p.grad is not None)
    for weight in (1.0, 0.5):
        bridge.set_weights(model.module, {"a": weight})
        found = cells.output(model)
        assert found.dtype == base.dtype
        assert torch.isfinite(found).all()
        assert not torch.equal(found, base)
    bridge.set_weights(model.module, {})
    assert torch.equal(cells.output(model), base)


@every_cell(lambda method: method.live_weight == TIMES_THE_DELTA)
def test_the_weight_multiplies_the_delta(cell: Any) -> None:
    method, model = cell
    cells.attach(method, model)
    cells.disturb(model)
    paths = [path.rpartition(".sidecar_")[0] or path for path, _ in bridge.tuner_layers(model.module)]
    path = next((path for path in paths if _is_linear(model.module.get_submodule(path))), paths[0])
    host = model.module.get_submodule(path)
    inputs = torch.randn(3, features(host)[0] if _is_linear(host) else host.weight.shape[-1])
    found = {}
    for value in (0.0, 1.0, -0.4):
        bridge.set_weights(model.module, {"a": value})
        with torch.no_grad():
            found[value] = host(inputs).double()
    assert difference(found[-0.4] - found[0.0], -0.4 * (found[1.0] - found[0.0])) < 1e-4


def _is_linear(layer: Any) -> bool:
    base = getattr(layer, "get_base_layer", lambda: layer)()
    return isinstance(base, torch.nn.Linear) or hasattr(base, "nx")
