"""The contract of every method on every part: found by itself, so a new method's file needs no edit here."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import trainers.methods
from pipelines.attach import attached
from pipelines.families import LoadedBase
from tests.support import bits, card_for, random_adapter, relative_error
from trainers.adapter import Adapter, AdapterPart, config_as_json, write_adapter
from trainers.errors import UserError
from trainers.methods import find_method, methods
from trainers.tuners import peft_bridge as bridge

PAIRS = [(method.name, "text_encoder") for method in methods().values() if not method.needs_studio] + [("lora", "unet")]


def part_output(base: LoadedBase, part: str) -> Tensor:
    """The output of one part for fixed inputs; gradients are kept."""
    noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    if part == "unet":
        text = torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(4))
        return base.predict(noisy, torch.tensor([500]), {"encoder_hidden_states": text})
    return next(iter(base.encode_text(["a red boat"]).values()))


def attach_fresh(base: LoadedBase, method_name: str, part: str, adapter: str = "a", **settings: Any) -> Any:
    method = find_method(method_name)
    plan = method.settings.model_validate({**method.recommendation(part).settings, **settings})
    config = method.peft_config(plan, lambda wanted: base.targets(part, wanted))
    bridge.attach(base.parts[part], config, adapter, what=part)
    return config


@pytest.mark.parametrize(
    ("method", "part"), [(method.name, kind) for method in methods().values() for kind in method.kinds]
)
def test_its_settings_are_documented_checked_and_frozen(method: str, part: str) -> None:
    record = find_method(method)
    for name, field in record.settings.model_fields.items():
        assert field.description, name
    plan = record.settings.model_validate(record.recommended[part].settings)
    assert record.settings.model_validate(plan.model_dump(mode="json")) == plan
    with pytest.raises(ValueError, match="extra"):
        record.settings.model_validate({"no_such_setting": 1})
    assert record.recommended[part].learning_rate > 0
    assert record.source


def test_plain_peft_loads_every_part_with_no_help_from_us(base: LoadedBase, tiny_base: Path, tmp_path: Path) -> None:
    expected: dict[str, Tensor] = {}
    for method, part in PAIRS:
        adapter = random_adapter(base, method, parts=(part,), method=method)
        folder = tmp_path / part / method
        write_adapter(folder, adapter)
        with attached(base, {"a": adapter}) as attachments, torch.no_grad():
            attachments.set_weights({"a": 1.0})
            expected[f"{part}/{method}"] = part_output(base, part)
    arguments = [str(tiny_base), *(f"{part}/{method}" for method, part in PAIRS)]
    script = Path(__file__).with_name("load_with_peft.py")
    result = subprocess.run(
        [sys.executable, str(script), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found = load_file(tmp_path / "outputs.safetensors")
    assert found.keys() == expected.keys()
    for pair, output in expected.items():
        assert relative_error(found[pair], output) < 1e-6, pair


def test_lora_settings_reach_peft(base: LoadedBase) -> None:
    adapter = random_adapter(base, rank=5, alpha=10.0, rank_stabilised=True, dropout=0.25, parts=("unet",))
    config = adapter.parts["unet"].config
    chosen = {key: config[key] for key in ("r", "lora_alpha", "use_rslora", "lora_dropout")}
    assert chosen == {"r": 5, "lora_alpha": 10.0, "use_rslora": True, "lora_dropout": 0.25}
    assert random_adapter(base, rank=5, parts=("unet",)).parts["unet"].config["lora_alpha"] == 5


def test_adapters_are_trained_in_float32_on_a_half_precision_base() -> None:
    from peft import LoraConfig

    module = nn.Sequential(nn.Linear(4, 4)).bfloat16().requires_grad_(False)
    bridge.attach(module, LoraConfig(target_modules=["0"]), "a", what="toy")
    assert {p.dtype for p in bridge.adapter_parameters(module, "a").values()} == {torch.float32}


def test_dropout_is_off_in_an_adapter_that_is_attached_for_pictures(base: LoadedBase) -> None:
    for method in ("lora", "qlora"):
        adapter = random_adapter(base, "x", method=method, parts=("text_encoder",), dropout=0.5)
        with attached(base, {"a": adapter}) as attachments, torch.no_grad():
            attachments.set_weights({"a": 1.0})
            assert torch.equal(part_output(base, "text_encoder"), part_output(base, "text_encoder"))


def test_attach_tells_what_it_matched_and_how_much_is_trained(base: LoadedBase) -> None:
    from peft import LoraConfig

    module = base.parts["text_encoder"]
    found = bridge.attach(module, LoraConfig(r=2, target_modules=["q_proj"]), "a", what="text_encoder")
    bridge.detach(module, "a")
    assert [path.rpartition(".")[2] for path in found.matched] == ["q_proj"] * 2
    assert found.trainable == 2 * (2 * 32 + 32 * 2)
    assert found.total == sum(parameter.numel() for parameter in module.parameters())


def test_a_target_that_is_not_there_is_refused_with_what_is(base: LoadedBase) -> None:
    from peft import LoraConfig

    module = base.parts["text_encoder"]
    with pytest.raises(UserError, match=r"nowhere.*q_proj"):
        bridge.attach(module, LoraConfig(target_modules=["nowhere"]), "a", what="text_encoder")
    bridge.detach(module, "a")


def test_load_state_needs_every_tensor_and_no_other(base: LoadedBase) -> None:
    adapter = random_adapter(base, parts=("text_encoder",))
    tensors = dict(adapter.parts["text_encoder"].tensors)
    module = base.parts["text_encoder"]
    config = attach_fresh(base, "lora", "text_encoder")
    first = next(iter(tensors))
    for wrong in (
        {key: value for key, value in tensors.items() if key != first},
        {**tensors, "base_model.model.extra.lora_A.weight": torch.ones(1, 1)},
        {**tensors, first: torch.ones(1, 1)},
        {},
    ):
        with pytest.raises(UserError, match="does not fit the text_encoder"):
            bridge.load_state(module, "a", wrong, what="text_encoder")
    bridge.load_state(module, "a", tensors, what="text_encoder")
    assert bits(bridge.read_state(module, "a")) == bits(tensors)
    bridge.detach(module, "a")
    card = card_for(base, "x", {"text_encoder": None})
    assert isinstance(Adapter(card, {"text_encoder": AdapterPart(config_as_json(config), tensors)}, {}), Adapter)


def test_the_nearest_method_is_named() -> None:
    with pytest.raises(UserError, match=r"Method 'lorra' is unknown\. Did you mean 'lora'"):
        find_method("lorra")
    assert set(trainers.methods.methods()) >= {"lora"}
