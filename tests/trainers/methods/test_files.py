"""Adapters of every method pass through the library's files and its gate, and hostile settings do not."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.attach import Attachments, attached
from pipelines.families import LoadedBase
from tests.support import bits, demands, random_adapter
from trainers.adapter import read_adapter, write_adapter
from trainers.adapter_gate import part_problems
from trainers.errors import UserError
from trainers.methods import find_method, methods

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", [name for name, method in methods().items() if method.fits("text_encoder")])
def test_every_method_goes_to_disk_and_back(base: LoadedBase, tmp_path: Path, name: str) -> None:
    part = "text_encoder"
    more = demands(find_method(name), part, base.parts[part], lambda w: base.targets(part, w), tmp_path / "parents")
    adapter = random_adapter(base, "x", method=name, parts=(part,), **more)
    write_adapter(tmp_path / "x", adapter)
    found = read_adapter(tmp_path / "x")
    assert bits(found.parts["text_encoder"].tensors) == bits(adapter.parts["text_encoder"].tensors)
    with torch.no_grad(), attached(base, {"x": found}) as attachments:
        plain = base.encode_text(["a red <new> boat"])["encoder_hidden_states"]
        attachments.set_weights({"x": 1.0})
        assert not torch.equal(base.encode_text(["a red <new> boat"])["encoder_hidden_states"], plain)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 10**9),
        ("size", float("nan")),
        ("activation", "__import__('os')"),
        ("blocks", ["(a+)+$"]),
        ("more", {"deep": 1}),
        ("x" * 50, 1),
    ],
)
def test_hostile_settings_are_refused(base: LoadedBase, key: str, value: Any) -> None:
    part = random_adapter(base, method="houlsby", parts=("text_encoder",)).parts["text_encoder"]
    assert part_problems(part.config, part.tensors) == []
    spoiled = {**part.config, "settings": {**part.config["settings"], key: value}}
    assert part_problems(spoiled, part.tensors)


def test_settings_that_the_method_does_not_know_end_in_a_sentence(base: LoadedBase) -> None:
    adapter = random_adapter(base, "x", method="houlsby", parts=("text_encoder",))
    part = adapter.parts["text_encoder"]
    for settings in ({}, {**part.config["settings"], "size": 3}, {**part.config["settings"], "activation": "tanh"}):
        broken = dataclasses.replace(part, config={**part.config, "settings": settings})
        attachments = Attachments(base)
        with pytest.raises(UserError):
            attachments.add("x", dataclasses.replace(adapter, parts={"text_encoder": broken}))
