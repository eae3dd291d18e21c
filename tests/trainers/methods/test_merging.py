"""Merging of attached adapters; `test_contract` compares merged with attached for every method on every part."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.attach import Attachments, attached
from pipelines.families import LoadedBase
from tests.support import demands, random_adapter
from trainers.errors import UserError
from trainers.methods import find_method, methods
from trainers.tuners import peft_bridge as bridge

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", [name for name, method in methods().items() if not method.mergeable])
def test_a_record_says_why_it_is_not_merged(base: LoadedBase, tmp_path: Path, name: str) -> None:
    method, part = find_method(name), "text_encoder"
    settings = demands(method, part, base.parts[part], lambda wanted: base.targets(part, wanted), tmp_path)
    adapter = random_adapter(base, name, method=name, parts=(part,), **settings)
    with attached(base, {"x": adapter}) as attachments, pytest.raises(UserError) as caught:
        attachments.merge({"x": 1.0})
    assert method.title in str(caught.value)
    assert method.merges_not in str(caught.value)


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
