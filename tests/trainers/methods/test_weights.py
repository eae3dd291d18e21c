"""A live weight is a state that comes and goes without a trace, and what is saved is what the run ended with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainers.methods import cells
from tests.trainers.methods.test_contract import difference, every_cell
from trainers.errors import UserError
from trainers.methods import Learner, find_method, methods
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.live_weights import only_adapters, weigh_rows, weighs_rows, without_adapters
from trainers.tuners.merging import merge

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT and torch warn of what is meant here


@pytest.fixture
def cell(request: pytest.FixtureRequest, tiny_base: Path) -> Iterator[Any]:
    """Give (method, model); the model is checked to be untouched afterwards."""
    name, model_name = request.param
    model = cells.model(model_name, tiny_base)
    with cells.untouched(model):
        yield find_method(name), model


def trained(model: Any) -> set[str]:
    return {bridge.canonical(name) for name, value in model.module.named_parameters() if value.requires_grad}


@every_cell()
def test_a_weight_set_and_set_back_changes_nothing(cell: Any) -> None:
    method, model = cell
    base = cells.output(model)
    cells.attach(method, model)
    cells.disturb(model)
    whole, learning = cells.output(model), trained(model)
    for other in ({}, {"a": 0.5}, {"a": -1.0}):
        bridge.set_weights(model.module, other)
        bridge.set_weights(model.module, {"a": 1.0})
        assert torch.equal(cells.output(model), whole), other
        assert trained(model) == learning
    if weighs_rows(model.module, {"a"}):
        weigh_rows(model.module, {"a": [1.0, 0.0]})
        assert difference(cells.output(model), torch.stack([whole[0], base[1]])) < 1e-5
        bridge.set_weights(model.module, {"a": 1.0})
        assert torch.equal(cells.output(model), whole)
    half = cells.output_at(model, {"a": 0.5})
    with without_adapters(model.module):
        assert torch.equal(cells.output(model), base)
    assert torch.equal(cells.output(model), half)
    with only_adapters(model.module, ("a",)):
        assert torch.equal(cells.output(model), whole)
        cells.attach(find_method("dora"), model, "newcomer", seed=1)
        cells.disturb(model, "newcomer")
    assert torch.equal(cells.output(model), half)
    assert trained(model) == learning


@every_cell(lambda method: not method.loads_changed)
def test_a_run_ends_with_what_is_saved(cell: Any) -> None:
    """Samples are drawn on the way, as in every run; they set weights and set them back."""
    method, model = cell
    config = cells.attach(method, model)
    settings = cells.settings_of(method, model)
    own = [p for p in bridge.adapter_parameters(model.module, "a").values() if p.requires_grad]
    optimizer = torch.optim.Adam(own, lr=min(3e-2, 3 * float(method.recommendation(model.part).learning_rate)))
    course = method.course(Learner(model.module, "a", settings, 3))
    for step in range(3):
        bridge.set_weights(model.module, {})
        bridge.set_weights(model.module, {"a": 1.0})
        course.before_step(step, torch.Generator().manual_seed(step))
        loss, penalty = cells.loss(model), course.penalty()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        course.after_step(step, skipped=False)
        optimizer.zero_grad(set_to_none=True)
    model.module.eval()
    lasting = float(cells.loss(model))
    wanted = [cells.output_at(model, {"a": weight}) for weight in (1.0, 0.5)]
    part = cells.saved(method, model, config)
    bridge.detach(model.module, "a")
    cells.load(model, part, "read")
    assert float(cells.loss(model)) == pytest.approx(lasting, rel=1e-5)
    found = [cells.output_at(model, {"read": weight}) for weight in (1.0, 0.5)]
    for one, other in zip(found, wanted, strict=True):
        assert difference(one, other) < 2e-5
        assert method.fold is not None or torch.equal(one, other)


SCALED = {
    "lora": {"rank": 3, "alpha": 7.0, "rank_stabilised": True},
    "loha": {"rank": 3, "alpha": 5.0},
    "lokr": {"rank": 3, "alpha": 5.0},
    "adalora": {"rank": 3, "start_rank": 7},
}


@pytest.mark.parametrize("name", SCALED)
def test_weight_1_is_the_scale_that_the_layer_was_built_with(tiny_base: Path, name: str) -> None:
    """Whatever alphas and ranks its settings and patterns gave to the layer."""
    model = cells.own_model("llama", tiny_base)
    method = find_method(name)
    config = method.peft_config(method.settings.model_validate(SCALED[name]), model.resolve)
    if hasattr(config, "rank_pattern") and name != "adalora":
        config.rank_pattern, config.alpha_pattern = {"q_proj": 2}, {"v_proj": 11.0}
    bridge.attach(model.module, config, "a", what="toy")
    built = {path: layer.scaling["a"] for path, layer in bridge.tuner_layers(model.module)}
    assert name == "adalora" or len(set(built.values())) == 3
    for weight in (0.25, 1.0):
        bridge.set_weights(model.module, {"a": weight})
        now = {path: layer.scaling["a"] for path, layer in bridge.tuner_layers(model.module)}
        assert now == {path: weight * scale for path, scale in built.items()}


def test_all_methods_that_are_weighed_by_a_scale_are_tried() -> None:
    assert SCALED.keys() <= methods().keys()


def test_a_merge_that_is_refused_leaves_the_weights_as_they_were(tiny_base: Path) -> None:
    model = cells.own_model("unet", tiny_base)
    for name in ("lora", "prefix_tuning"):
        cells.attach(find_method(name), model, name)
        cells.disturb(model, name)
    wanted = cells.output_at(model, {"lora": 0.5, "prefix_tuning": 0.3})
    with pytest.raises(UserError, match="no change of the weights"):
        merge(model.module, {"lora": 0.5, "prefix_tuning": 0.3}, what="unet")
    assert torch.equal(cells.output(model), wanted)


def test_a_weight_reaches_a_layer_that_was_wrapped_after_it_was_set(tiny_base: Path) -> None:
    model = cells.own_model("unet", tiny_base)
    cells.attach(find_method("oft"), model, "first")
    cells.disturb(model, "first")
    whole = cells.output(model)
    half = cells.output_at(model, {"first": 0.5})
    cells.attach(find_method("hra"), model, "second")  # another kind: its layers lie around the first one's
    assert torch.equal(cells.output_at(model, {"first": 1.0}), whole)
    assert difference(cells.output_at(model, {"first": 0.5}), half) < 1e-6
