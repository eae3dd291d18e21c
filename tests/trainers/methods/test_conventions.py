"""Conventions that other implementations differ in: equal once theirs is taken. docs/conventions.md names them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from torch import Tensor
from torch.nn import functional

from pipelines.families._language import tiny_llama
from tests.trainers.methods import cells
from trainers.methods import find_method
from trainers.tuners import peft_bridge as bridge

pytestmark = pytest.mark.filterwarnings("ignore")
IDS = torch.randint(3, 60, (2, 7), generator=torch.Generator().manual_seed(3))


def branch(own: dict[str, Tensor], x: Tensor) -> Tensor:
    return functional.relu(x @ own["down"].T + own["down_bias"]) @ own["up"].T + own["up_bias"]


def block_with(method: str, tiny_base: Path, **settings: Any) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
    """Return a Llama block with an adapter on its feed-forward, the adapter, and what flows through the block.

    `residual` is what the feed-forward's result is added to, `normed` what the feed-forward reads, `plain` what it
    gives without the adapter, and `found` what the block gives with it.
    """
    model, bare = cells.own_model("llama", tiny_base), cells.own_model("llama", tiny_base)
    cells.attach(find_method(method), model, **settings)
    cells.disturb(model, size=0.5)
    model.module.double()
    bare.module.double()
    block: Any = model.module.model.layers[1]
    seen: dict[str, Tensor] = {}
    block.post_attention_layernorm.register_forward_pre_hook(lambda _, args: seen.update(residual=args[0]))
    block.post_attention_layernorm.register_forward_hook(lambda _, __, out: seen.update(normed=out))
    block.register_forward_hook(lambda _, __, out: seen.update(found=out if isinstance(out, Tensor) else out[0]))
    with torch.no_grad():
        model.module(input_ids=IDS, use_cache=False)
        seen["plain"] = bare.module.model.layers[1].mlp(seen["normed"])
    paths = bridge.adapter_parameters(model.module, "a").items()
    own = {path.rpartition(".")[2]: value.detach() for path, value in paths if path.startswith("model.layers.1.mlp.")}
    return block, own, seen


def test_pfeiffer_reads_the_feed_forward_s_result_without_the_residual(tiny_base: Path) -> None:
    """AdapterHub reads the sum with the residual by default (`original_ln_before`), and ours where that is False."""
    _, own, seen = block_with("pfeiffer", tiny_base)
    found, residual, plain = seen["found"], seen["residual"], seen["plain"]

    def theirs(*, original_ln_before: bool) -> Tensor:
        return residual + plain + branch(own, plain + residual if original_ln_before else plain)

    assert torch.allclose(found, theirs(original_ln_before=False), atol=1e-12)
    assert not torch.allclose(found, theirs(original_ln_before=True), atol=1e-3)


@pytest.mark.parametrize("method", ["parallel_adapter", "mam"])
def test_parallel_adapters_read_what_the_feed_forward_reads(method: str, tiny_base: Path) -> None:
    """AdapterHub gives them the residual; in a block that normalises after the sum, as BERT's, both are one tensor."""
    _, own, seen = block_with(method, tiny_base, scale=4.0)

    def theirs(input_tensor: Tensor) -> Tensor:
        return seen["residual"] + seen["plain"] + 4.0 * branch(own, input_tensor)

    assert torch.allclose(seen["found"], theirs(seen["normed"]), atol=1e-12)
    assert not torch.allclose(seen["found"], theirs(seen["residual"]), atol=1e-3)


@torch.no_grad()
def test_words_keep_their_positions_behind_a_prefix(tiny_base: Path) -> None:
    """PEFT lets the words of a prefix of p tokens begin at position p; ours begin at 0, and equal PEFT's from p on."""
    p, model = 4, cells.own_model("llama", tiny_base)
    cells.attach(find_method("p_tuning_v2"), model, length=p)
    generator = torch.Generator().manual_seed(5)
    rows = []  # in PEFT's order: by layer, key then value
    for path, value in sorted(bridge.adapter_parameters(model.module, "a").items()):
        value.data = torch.randn(value.shape, generator=generator)
        rows.append((path, value.data))
    assert [path.rpartition(".")[2] for path, _ in rows] == ["key", "value"] * 2
    twin: Any = tiny_llama()
    twin.load_state_dict(cells.own_model("llama", tiny_base).module.state_dict())
    theirs: Any = get_peft_model(twin, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=p))
    theirs.prompt_encoder["default"].embedding.weight.data = torch.cat([value for _, value in rows], 1)
    wanted = theirs.eval()(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    moved = torch.arange(p, p + IDS.shape[1])[None]
    assert torch.allclose(model.module(input_ids=IDS, position_ids=moved, use_cache=False).logits, wanted, atol=1e-5)
    assert not torch.allclose(model.module(input_ids=IDS, use_cache=False).logits, wanted, atol=1e-3)
