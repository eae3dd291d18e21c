"""Deltas as this project reads them equal what PEFT does, layer by layer, for random configs."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from pipelines.deltas import lora_part, read_deltas
from tests.support import relative_error
from trainers.adapter import AdapterPart, config_as_json
from trainers.errors import UserError
from trainers.tuners import peft_bridge as bridge


class Block(nn.Module):
    """A few layers whose names end in each other's."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(6, 4, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(4, 5)])
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(3, 4, 1)


class Tower(nn.Module):
    """Blocks in a list, and a layer at the top."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.to_q = nn.Linear(3, 3)


NAMES = ("to_q", "to_out.0", "conv1", "conv_shortcut")
PATTERN_KEYS = ("to_q", "0.to_q", "blocks.1.to_q", "to_out.0", "blocks.0.conv1", "conv_shortcut", "blocks")


@given(
    targets=st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    rank=st.integers(1, 5),
    alpha=st.sampled_from([0.5, 1, 7, 16.0]),
    rank_stabilised=st.booleans(),
    rank_pattern=st.dictionaries(st.sampled_from(PATTERN_KEYS), st.integers(1, 6), max_size=3),
    alpha_pattern=st.dictionaries(st.sampled_from(PATTERN_KEYS), st.floats(0.1, 20), max_size=3),
    seed=st.integers(0, 10**6),
)
@hypothesis_settings(max_examples=50)
def test_deltas_equal_the_live_peft_layers(
    targets: list[str],
    rank: int,
    alpha: float,
    rank_stabilised: bool,
    rank_pattern: dict[str, int],
    alpha_pattern: dict[str, float],
    seed: int,
) -> None:
    from peft import LoraConfig

    torch.manual_seed(seed)
    tower = Tower()
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        use_rslora=rank_stabilised,
        target_modules=targets,
        rank_pattern=rank_pattern,
        alpha_pattern=alpha_pattern,
        init_lora_weights=False,
    )
    bridge.attach(tower, config, "a", what="tower")
    part = AdapterPart(config_as_json(config), bridge.read_state(tower, "a"))
    deltas = read_deltas(part, what="tower")
    live = {path: layer.get_delta_weight("a") for path, layer in bridge.tuner_layers(tower)}
    assert deltas.keys() == live.keys()
    for path, expected in live.items():
        assert deltas[path].dense().shape == expected.shape
        assert relative_error(deltas[path].dense(), expected) < 1e-5, path

    rewritten = lora_part(deltas)
    fresh = Tower()
    bridge.attach(fresh, bridge.config_from_json(dict(rewritten.config), what="it"), "b", what="tower")
    bridge.load_state(fresh, "b", rewritten.tensors, what="tower")
    for path, layer in bridge.tuner_layers(fresh):
        assert relative_error(layer.get_delta_weight("b"), live[path]) < 1e-5, path


def lora(config: dict[str, Any], tensors: dict[str, torch.Tensor] | None = None) -> AdapterPart:
    usual = {
        "base_model.model.x.lora_A.weight": torch.ones(2, 3),
        "base_model.model.x.lora_B.weight": torch.ones(4, 2),
    }
    return AdapterPart({"peft_type": "LORA", "r": 2, "lora_alpha": 6, **config}, usual if tensors is None else tensors)


def test_the_scale_is_alpha_by_rank_or_by_its_root() -> None:
    assert read_deltas(lora({}), what="x")["x"].dense()[0, 0] == pytest.approx(2 * 6 / 2)
    stabilised = read_deltas(lora({"use_rslora": True}), what="x")["x"].dense()[0, 0]
    assert stabilised == pytest.approx(2 * 6 / 2**0.5)
    assert read_deltas(lora({"alpha_pattern": {"x": 1.0}}), what="x")["x"].dense()[0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize("change", [{"use_dora": True}, {"peft_type": "LOHA"}, {"peft_type": None}])
def test_what_is_no_plain_lora_has_no_delta(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="only known against a base"):
        read_deltas(lora(change), what="it")


def test_the_written_config_is_plain_json_with_scale_one() -> None:
    deltas = read_deltas(lora({}), what="x")
    part = lora_part(deltas)
    assert json.loads(json.dumps(part.config)) == part.config
    assert part.config["r"] == part.config["lora_alpha"] == 2
    assert {tensor.dtype for tensor in part.tensors.values()} == {torch.float32}
