"""AdapterDrop: bottleneck adapters left out of the first blocks, in training and afterwards."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.attach import Attachments, attached
from pipelines.families import LoadedBase
from tests.support import random_adapter
from tests.trainers.methods import cells
from trainers.errors import UserError
from trainers.methods import Learner, find_method
from trainers.tuners import peft_bridge as bridge

pytestmark = pytest.mark.filterwarnings("ignore")
NAMES = ("houlsby", "pfeiffer", "parallel_adapter")


@pytest.mark.parametrize("model_name", cells.MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_dropped_blocks_are_the_base_s_own(tiny_base: Path, name: str, model_name: str) -> None:
    """As if the adapter's last layer in these blocks, the first that run, were still 0."""
    model = cells.own_model(model_name, tiny_base)
    cells.attach(find_method(name), model)
    cells.disturb(model)
    order: list[str] = []
    blocks = model.resolve(("block",))
    for path in blocks:
        model.module.get_submodule(path).register_forward_pre_hook(lambda *_, path=path: order.append(path))
    whole = cells.output(model)
    assert order == list(blocks)
    most = bridge.drop_first_blocks(model.module, "a", 1)
    assert most == len(blocks) - 1
    found = cells.output(model)
    bridge.drop_first_blocks(model.module, "a", 0)
    assert torch.equal(cells.output(model), whole)
    for path, value in bridge.adapter_parameters(model.module, "a").items():
        if path.startswith(f"{blocks[0]}.") and ".up" in path:
            value.data.zero_()
    assert torch.equal(cells.output(model), found)
    assert not torch.equal(found, whole)


def test_training_drops_a_number_of_blocks_drawn_anew_in_every_step(tiny_base: Path) -> None:
    method, model = find_method("pfeiffer"), cells.own_model("unet", tiny_base)
    blocks = model.resolve(("block",))
    limit = len(blocks) - 1
    cells.attach(method, model, drop_up_to=limit)
    cells.disturb(model)
    settings = cells.settings_of(method, model, drop_up_to=limit)
    course = method.course(Learner(model.module, "a", settings, 30))
    seen: Counter[int] = Counter()
    for step in range(30):
        course.before_step(step, torch.Generator().manual_seed(step))
        cells.loss(model).backward()
        course.after_step(step, skipped=False)
        own = bridge.adapter_parameters(model.module, "a")
        learning = [any(p.startswith(f"{b}.") and v.grad is not None for p, v in own.items()) for b in blocks]
        dropped = learning.index(True)
        assert not any(learning[:dropped])
        assert all(learning[dropped:])
        seen[dropped] += 1
        model.module.zero_grad(set_to_none=True)
    assert set(seen) == set(range(limit + 1))


def test_skipped_blocks_carry_no_adapter(tiny_base: Path) -> None:
    model = cells.own_model("llama", tiny_base)
    cells.attach(find_method("houlsby"), model, skip_first=1)
    assert all(".layers.1." in path for path in bridge.adapter_parameters(model.module, "a"))


@pytest.mark.parametrize("setting", ["skip_first", "drop_up_to"])
def test_no_block_left_is_refused(tiny_base: Path, setting: str) -> None:
    changes: dict[str, Any] = {setting: 2}
    with pytest.raises(UserError, match=f"{setting} 2 leaves no adapter: the base has 2 blocks"):
        cells.attach(find_method("houlsby"), cells.own_model("llama", tiny_base), **changes)


def encoded(attachments: Attachments) -> Any:
    with torch.no_grad():
        return attachments.base.encode_text(["a red boat"])["encoder_hidden_states"]


def test_attached_adapters_drop_and_come_back(base: LoadedBase) -> None:
    text = ("text_encoder",)
    adapters = {
        "x": random_adapter(base, "x", method="houlsby", parts=text),
        "y": random_adapter(base, "y", method="lora", parts=text),
    }
    with attached(base, adapters) as attachments:
        attachments.set_weights({"x": 1.0, "y": 0.5})
        whole = encoded(attachments)
        attachments.drop_blocks({"text_encoder": 1})
        assert not torch.equal(encoded(attachments), whole)
        attachments.set_weights({"y": 0.5})
        alone = encoded(attachments)
        attachments.drop_blocks({"text_encoder": 0})
        assert torch.equal(encoded(attachments), alone)
        attachments.set_weights({"x": 1.0, "y": 0.5})
        assert torch.equal(encoded(attachments), whole)
        for counts, message in (
            ({"text_encoder": 2}, "0 to 1 is possible"),
            ({"unet": 1}, "AdapterDrop is for bottleneck adapters"),
            ({"eyes": 1}, "no part 'eyes'"),
        ):
            with pytest.raises(UserError, match=message):
                attachments.drop_blocks(counts)
