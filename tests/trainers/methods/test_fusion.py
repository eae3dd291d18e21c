"""AdapterFusion against the paper's formula in float64, and what it refuses to fuse."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipelines.families import LoadedBase
from tests.support import random_adapter
from tests.trainers.methods import cells
from trainers.adapter import read_adapter, write_adapter
from trainers.errors import UserError
from trainers.methods import Learner, find_method
from trainers.tuners import peft_bridge as bridge

METHOD = find_method("adapter_fusion")


def own_tensors(model: cells.Model, host: str) -> dict[str, Tensor]:
    inside = f"{host}.sidecar_fusion.beside.a."
    found = bridge.adapter_parameters(model.module, "a")
    return {path.removeprefix(inside): p.detach().double() for path, p in found.items() if path.startswith(inside)}


@pytest.mark.parametrize("name", cells.MODELS)
def test_each_layer_attends_over_what_the_adapters_add(name: str, tiny_base: Path) -> None:
    model, plain = (cells.own_model(name, tiny_base) for _ in range(2))
    settings = cells.settings_of(METHOD, model)
    cells.attach(METHOD, model)
    cells.disturb(model, size=0.3)
    bridge.set_weights(model.module, {"a": 0.6})
    parents = [read_adapter(Path(folder)).parts[model.part] for folder in settings.adapters]
    hosts = {path.removesuffix(".sidecar_fusion") for path, _ in bridge.tuner_layers(model.module)}
    assert hosts == set(model.resolve(("attention_block", "feed_forward_block")))
    feed_forward = next(host for host in sorted(hosts) if host.endswith(("mlp", "ff")))
    attention = next(host for host in sorted(hosts) if not host.endswith(("mlp", "ff")))
    own = own_tensors(model, feed_forward)
    x = torch.randn(2, 5, own["query"].shape[0], dtype=torch.float64)
    h = plain.module.get_submodule(feed_forward)(x.float()).double()
    added = []
    for parent, seen in zip(parents, (h, x), strict=True):  # houlsby sits behind its host, parallel_adapter beside it
        key = f"base_model.model.{feed_forward}.sidecar_bottleneck.beside."
        down, b, up, c = (parent.tensors[key + t].double() for t in ("down", "down_bias", "up", "up_bias"))
        added.append(parent.config["settings"]["scale"] * (functional.relu(seen @ down.T + b) @ up.T + c))
    logits = [((h @ own["query"].T) * (z @ own["key"].T)).sum(-1) for z in added]
    shares = torch.stack(logits).softmax(0)
    fused = sum(share[..., None] * (z @ own["value"].T) for share, z in zip(shares, added, strict=True))
    found = model.module.get_submodule(feed_forward)(x.float()).double()
    assert torch.allclose(found, h + 0.6 * fused, atol=1e-5)
    assert not any(path.startswith("adapter1") for path in own_tensors(model, attention))  # beside feed-forward alone


def test_value_begins_at_the_identity_and_is_held_there(tiny_base: Path) -> None:
    model = cells.own_model("text_encoder", tiny_base)
    settings = cells.settings_of(METHOD, model, regularisation=0.5)
    cells.attach(METHOD, model, regularisation=0.5)
    course = METHOD.course(Learner(model.module, "a", settings, 10))
    values = [v for path, v in bridge.adapter_parameters(model.module, "a").items() if path.endswith(".value")]
    penalty: Any = course.penalty()
    assert float(penalty.detach()) == pytest.approx(0.5 * len(values) * 32 * 31 * 1e-12, rel=1e-3)
    cells.disturb(model, size=0.2)
    penalty = course.penalty()
    wanted = 0.5 * sum(float((v.detach().double() - torch.eye(32)).square().sum()) for v in values)
    assert float(penalty.detach()) == pytest.approx(wanted, rel=1e-5)
    penalty.backward()
    assert torch.allclose(values[0].grad, values[0].detach() - torch.eye(32), atol=1e-6)  # 2 · 0.5 · (V − I)
    quiet = METHOD.course(Learner(model.module, "a", cells.settings_of(METHOD, model, regularisation=0), 10))
    assert quiet.penalty() is None


def test_what_cannot_be_fused_is_refused_with_everything_at_once(base: LoadedBase, tmp_path: Path) -> None:
    part = "text_encoder"
    for name, method in (("low", "lora"), ("good", "pfeiffer"), ("both", "houlsby")):
        write_adapter(tmp_path / name, random_adapter(base, name, method=method, parts=(part,)))
    only_unet = random_adapter(base, "drawn", method="houlsby", parts=("unet",))
    write_adapter(tmp_path / "drawn", only_unet)

    def config(*names: str) -> Any:
        settings = METHOD.settings.model_validate({"adapters": [str(tmp_path / name) for name in names]})
        return METHOD.peft_config(settings, lambda wanted: base.targets(part, wanted))

    with pytest.raises(UserError, match=r"two or more trained adapters, not 1"):
        config("good")
    with pytest.raises(UserError, match=r"(?s)'low' has 0 parts.*lora.*nothing.*'drawn' has 0 parts.*unet") as caught:
        config("low", "nothing", "good", "drawn")
    assert "'good'" not in str(caught.value)
    fused = config("good", "both")
    assert fused.settings["adapters"] == ["good", "both"]
    assert len(fused.settings["hosts_0"]) == 2
    assert len(fused.settings["hosts_1"]) == 4
    shutil.rmtree(tmp_path / "both")
    with pytest.raises(UserError, match="both"):
        config("good", "both")


def test_adapters_of_a_wider_base_do_not_fit(tiny_base: Path, tmp_path: Path) -> None:
    model = cells.own_model("text_encoder", tiny_base)
    settings = cells.settings_of(METHOD, model)
    for folder in settings.adapters:
        parent = read_adapter(Path(folder))
        part = parent.parts["text_encoder"]
        wider = {k: torch.cat([v, v], dim=-1) if k.endswith(".down") else v for k, v in part.tensors.items()}
        broken = type(part)(part.config, wider)
        write_adapter(tmp_path / parent.card.name, type(parent)(parent.card, {"text_encoder": broken}, {}))
    with pytest.raises(UserError, match=r"down of .* is \[3, 64\], expected \[3, 32\]"):
        cells.attach(METHOD, model, adapters=[str(tmp_path / Path(folder).name) for folder in settings.adapters])
