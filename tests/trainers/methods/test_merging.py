"""Adapters merged into the base do what they did beside it, and unmerging restores every bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.attach import Attachments, attached
from pipelines.families import LoadedBase
from tests.support import random_adapter
from tests.trainers.methods import cells
from trainers.errors import UserError
from trainers.methods import _peft_bridge as bridge
from trainers.methods import find_method, methods
from trainers.methods._merging import merge

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def cell(request: pytest.FixtureRequest, tiny_base: Path) -> Iterator[Any]:
    """Give (method, model); the model is checked to be untouched afterwards."""
    name, model_name = request.param
    model = cells.model(model_name, tiny_base)
    with cells.untouched(model):
        yield find_method(name), model


def every_cell(chosen: Any) -> Any:
    found = cells.cells(chosen)
    return pytest.mark.parametrize("cell", found, ids=[f"{name}-{model}" for name, model in found], indirect=True)


def attach_saved(method: Any, model: Any, names: dict[str, int]) -> None:
    """Attach random adapters as they come from files."""
    parts = {}
    for name, seed in names.items():
        config = cells.attach(method, model, name, seed)
        cells.disturb(model, name, seed)
        if method.fold is not None:
            parts[name] = cells.saved(method, model, config, name)
            bridge.detach(model.module, name)
    for name, part in parts.items():
        cells.load(model, part, name)


@every_cell(lambda method: method.mergeable)
def test_merged_is_attached_and_unmerging_restores(cell: Any) -> None:
    method, model = cell
    attach_saved(method, model, {"a": 1, "b": 2})
    own = {name: value for name, value in model.module.named_parameters() if not value.requires_grad}
    plain = cells.output_at(model, {})
    weights = {"a": 0.6, "b": -0.3}
    wanted = cells.output_at(model, weights)
    unmerge = merge(model.module, weights, what=model.part)
    found = cells.output(model)
    assert not torch.equal(found, plain)
    assert float((found - wanted).abs().max()) <= method.merge_tolerance * float(wanted.abs().max())
    unmerge()
    assert torch.equal(cells.output(model), plain)
    after = dict(model.module.named_parameters())
    assert all(after[name] is value for name, value in own.items())


@every_cell(lambda method: not method.mergeable)
def test_what_is_no_change_of_weights_refuses_and_changes_nothing(cell: Any) -> None:
    method, model = cell
    attach_saved(method, model, {"a": 1})
    wanted = cells.output(model)
    with pytest.raises(UserError, match="no change of the weights"):
        merge(model.module, {"a": 1.0}, what=model.part)
    assert torch.equal(cells.output(model), wanted)


@pytest.mark.parametrize("name", [name for name, method in methods().items() if not method.mergeable])
def test_a_record_says_why_it_is_not_merged(base: LoadedBase, name: str) -> None:
    method = find_method(name)
    part = method.parts[0] if method.parts[0] != "language_model" else "text_encoder"
    adapter = random_adapter(base, name, method=name, parts=(part,))
    with attached(base, {"x": adapter}) as attachments, pytest.raises(UserError) as caught:
        attachments.merge({"x": 1.0})
    assert method.title in str(caught.value)
    assert method.why_not_merged in str(caught.value)


def encoded(base: LoadedBase) -> torch.Tensor:
    with torch.no_grad():
        return base.encode_text(["a red boat"])["encoder_hidden_states"]


def test_merged_adapters_cannot_act_twice_and_others_act_beside_them(base: LoadedBase) -> None:
    text = ("text_encoder",)
    adapters = {
        "x": random_adapter(base, "x", parts=text),
        "y": random_adapter(base, "y", seed=1, method="loha", parts=text),
    }
    plain = encoded(base)
    with attached(base, adapters) as attachments:
        attachments.set_weights({"x": 0.7, "y": 0.4})
        wanted = encoded(base)
        attachments.merge({"x": 0.7})
        attachments.set_weights({"y": 0.4})
        assert torch.allclose(encoded(base), wanted, atol=1e-5)
        with pytest.raises(UserError, match="act twice"):
            attachments.set_weights({"x": 0.1})
        for refused in (lambda: attachments.merge({"y": 1}), lambda: attachments.remove("y")):
            with pytest.raises(UserError, match="Unmerge first"):
                refused()
        attachments.unmerge()
        assert torch.equal(encoded(base), plain)
        attachments.merge({"x": 1.0})  # and what is forgotten is undone at the end
    assert torch.equal(encoded(base), plain)


def test_a_refused_merge_leaves_every_part_as_it_was(base: LoadedBase, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = random_adapter(base, "x")
    with attached(base, {"x": adapter}) as attachments:
        layers = [layer for _, layer in bridge.tuner_layers(base.parts["text_encoder"])]

        def fail(*_: Any, **__: Any) -> None:
            raise UserError("no")

        monkeypatch.setattr(type(layers[-1]), "merge", fail)
        with pytest.raises(UserError):
            attachments.merge({"x": 1.0})
        assert attachments.merged == {}


def test_quantised_weights_are_not_merged_into(base: LoadedBase) -> None:
    with attached(base, {"x": random_adapter(base, "x")}) as attachments:
        _, layer = next(bridge.tuner_layers(base.parts["unet"]))
        host = layer.get_base_layer()
        own = host._parameters["weight"]
        host._parameters["weight"] = torch.nn.Parameter(own.to(torch.uint8), requires_grad=False)
        with pytest.raises(UserError, match="quantised"):
            attachments.merge({"x": 1.0})
        host._parameters["weight"] = own


def test_a_name_that_is_not_attached_is_refused(base: LoadedBase) -> None:
    with pytest.raises(UserError, match="not attached"):
        Attachments(base).merge({"nobody": 1.0})
