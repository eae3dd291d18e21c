"""Methods on causal language models: no look ahead, the same with a cache, beams, padding and streaming."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipelines.families._language import tiny_gpt2, tiny_llama
from tests.trainers.methods import cells
from trainers.errors import UserError
from trainers.methods import find_method
from trainers.tuners import peft_bridge as bridge

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT and transformers warn of what is meant here
LANGUAGE = [(name, model) for name, model in cells.cells() if model in ("llama", "gpt2")]
MAKES = pytest.mark.parametrize("make", [tiny_llama, tiny_gpt2])
IDS = torch.tensor([[5, 9, 11, 40, 22, 6], [7, 8, 30, 31, 45, 50]])
GREEDY = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}


def language(make: Any) -> cells.Model:
    """Return a toy language model that nobody else uses."""
    return cells.own_model("llama" if make is tiny_llama else "gpt2", Path())


def steps(module: Any, ids: Tensor) -> Tensor:
    """Return the logits of one token after the other with a cache, the first three together."""
    from transformers import DynamicCache

    cache = DynamicCache(config=module.config)
    parts = [ids[:, :3], *ids[:, 3:].split(1, dim=1)]
    return torch.cat([module(input_ids=part, past_key_values=cache, use_cache=True).logits for part in parts], 1)


@pytest.fixture
def cell(request: pytest.FixtureRequest, tiny_base: Path) -> Iterator[Any]:
    """Give (method, model); the model is checked to be untouched afterwards."""
    name, model_name = request.param
    model = cells.model(model_name, tiny_base)
    with cells.untouched(model):
        yield find_method(name), model


@pytest.mark.parametrize("cell", LANGUAGE, ids=[f"{name}-{model}" for name, model in LANGUAGE], indirect=True)
@torch.no_grad()
def test_no_token_sees_a_later_one_and_the_cache_changes_nothing(cell: Any) -> None:
    method, model = cell
    cells.attach(method, model)
    cells.disturb(model, size=0.3)
    bridge.set_weights(model.module, {"a": 0.8})
    whole = model.module(input_ids=IDS).logits
    begun = model.module(input_ids=IDS[:, :4]).logits
    assert torch.allclose(whole[:, :4], begun, atol=1e-5)
    assert torch.allclose(whole, steps(model.module, IDS), atol=1e-5)


@MAKES
@pytest.mark.parametrize("length", [1, 5])
def test_a_prompt_gives_the_logits_of_plain_peft(make: Any, length: int) -> None:
    from peft import PromptTuningConfig, get_peft_model

    model = language(make)
    cells.attach(find_method("prompt_tuning"), model, length=length)
    cells.disturb(model, size=1.0)
    (tokens,) = bridge.adapter_parameters(model.module, "a").values()
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=length, prompt_tuning_init="RANDOM")
    other: Any = get_peft_model(make(), config).eval()
    other.prompt_encoder["default"].embedding.weight.data = tokens.detach().clone()
    padded = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])
    for mask in (None, padded):
        with torch.no_grad():
            found = model.module(input_ids=IDS, attention_mask=mask).logits
            wanted = other(input_ids=IDS, attention_mask=mask).logits[:, length:]
            bridge.set_weights(model.module, {})
            plain = model.module(input_ids=IDS, attention_mask=mask).logits
            bridge.set_weights(model.module, {"a": 1.0})
        seen = torch.ones_like(IDS, dtype=torch.bool) if mask is None else mask.bool()
        assert torch.allclose(found[seen], wanted[seen], atol=1e-6)
        assert not torch.allclose(found[seen], plain[seen], atol=1e-2)
    for beams in (1, 3):
        tokens_found = model.module.generate(IDS, num_beams=beams, **GREEDY)
        assert torch.equal(tokens_found, other.generate(input_ids=IDS, num_beams=beams, **GREEDY))


@MAKES
def test_a_prefix_gives_the_logits_of_plain_peft(make: Any) -> None:
    """At the same positions: PEFT's prefix moves the words up, as if its rows were tokens, and ours does not."""
    from peft import PrefixTuningConfig, get_peft_model

    model = language(make)
    cells.attach(find_method("p_tuning_v2"), model, length=4)
    cells.disturb(model, size=1.0)
    own = list(bridge.adapter_parameters(model.module, "a").items())
    rows = [value.detach() for name in ("key", "value") for path, value in own if path.endswith(name)]
    other: Any = get_peft_model(make(), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)).eval()
    layers = [torch.cat([rows[number], rows[len(rows) // 2 + number]], dim=1) for number in range(len(rows) // 2)]
    other.prompt_encoder["default"].embedding.weight.data = torch.cat(layers, dim=1)
    with torch.no_grad():
        found = model.module(input_ids=IDS, position_ids=torch.arange(4, 10)[None]).logits
        wanted = other(input_ids=IDS).logits
    assert torch.allclose(found, wanted, atol=1e-6)


@MAKES
def test_a_prompt_trains_as_in_plain_peft(make: Any) -> None:
    from peft import PromptTuningConfig, get_peft_model

    model = language(make)
    cells.attach(find_method("prompt_tuning"), model, length=3)
    (tokens,) = bridge.adapter_parameters(model.module, "a").values()
    other: Any = get_peft_model(make(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    twin = other.prompt_encoder["default"].embedding.weight
    twin.data = tokens.detach().clone()
    labels = IDS.masked_fill(torch.arange(6) == 0, -100)  # PEFT's tokens also predict the first word
    for module in (model.module, other):
        module.train()(input_ids=IDS, labels=labels).loss.backward()
    assert torch.allclose(tokens.grad, twin.grad, atol=1e-6)
    assert tokens.grad.abs().max() > 1e-4


@MAKES
def test_prompts_of_weight_w_count_w_times(make: Any) -> None:
    """Two adapters of the same tokens at weights 0.3 and 0.7 are one of them at 1."""
    model = language(make)
    for name in ("a", "b"):
        cells.attach(find_method("prompt_tuning"), model, name, length=3)
    first, second = (bridge.adapter_parameters(model.module, name).values() for name in ("a", "b"))
    for one, other in zip(first, second, strict=True):
        other.data = one.data.clone()
    found = []
    for weights in ({"a": 1.0}, {"a": 0.3, "b": 0.7}, {"a": -1.0}, {}):
        bridge.set_weights(model.module, weights)
        found.append(cells.output(model))
    assert torch.allclose(found[0], found[1], atol=1e-5)
    assert torch.equal(found[2], found[3])


@MAKES
@pytest.mark.parametrize("names", [("p_tuning_v2",), ("unipelt",), ("prompt_tuning", "p_tuning", "mam", "lora")])
def test_generation_is_the_same_with_cache_beams_left_padding_and_streaming(make: Any, names: tuple[str, ...]) -> None:
    model = language(make)
    module: Any = model.module
    for number, name in enumerate(names):
        cells.attach(find_method(name), model, name, seed=number)
        cells.disturb(model, name, seed=number, size=1.0)
    bridge.set_weights(module, {name: 0.6 + 0.2 * number for number, name in enumerate(names)})
    for beams in (1, 3):
        fast = module.generate(IDS, num_beams=beams, use_cache=True, **GREEDY)
        assert torch.equal(fast, module.generate(IDS, num_beams=beams, use_cache=False, **GREEDY))
        padded = functional.pad(IDS, (3, 0))
        mask = functional.pad(torch.ones_like(IDS), (3, 0))
        left = module.generate(padded, attention_mask=mask, num_beams=beams, **GREEDY)
        assert torch.equal(left[:, 3:], fast)
    streamed: list[int] = []

    class Streamer:
        def put(self, value: Tensor) -> None:
            streamed.extend(value.flatten().tolist())

        def end(self) -> None: ...

    alone = module.generate(IDS[:1], streamer=Streamer(), **GREEDY)
    assert streamed == alone[0].tolist()


def test_a_cache_is_continued_with_the_tokens_it_began_with() -> None:
    from transformers import DynamicCache

    model = language(tiny_llama)
    cells.attach(find_method("prompt_tuning"), model)
    passes = []
    handle = model.module.model.register_forward_pre_hook(
        lambda _, __, kwargs: passes.append(kwargs.get("inputs_embeds") is not None), with_kwargs=True
    )
    cache = DynamicCache()
    with torch.no_grad():
        for part in IDS.split(1, dim=1):
            model.module(input_ids=part, past_key_values=cache)
    handle.remove()
    assert sum(passes) == 1


def test_gates_of_a_language_model_are_each_token_s_own() -> None:
    model, plain = language(tiny_llama), language(tiny_llama)
    cells.attach(find_method("unipelt"), model, length=3)
    cells.disturb(model, size=0.5)
    bridge.set_weights(model.module, {"a": 0.5})
    path = "model.layers.0.self_attn"
    host: Any = model.module.get_submodule(path)
    bare: Any = plain.module.get_submodule(path)
    own = {name: value.detach() for name, value in host.sidecar_unipelt.beside["a"].items()}
    x = torch.randn(2, 5, 32)
    rotary = plain.module.model.rotary_emb(x, torch.arange(5)[None])
    with torch.no_grad():
        found = host(x, position_embeddings=rotary, attention_mask=None)[0]
        lora, prefix = (torch.sigmoid(x @ own[f"{n}_gate"].T + own[f"{n}_gate_bias"]) for n in ("lora", "prefix"))
        q = bare.q_proj(x) + 0.5 * lora * (x @ own["query_down"].T @ own["query_up"].T)
        v = bare.v_proj(x) + 0.5 * lora * (x @ own["value_down"].T @ own["value_up"].T)
        q, k, v = (y.unflatten(-1, (-1, 8)).transpose(1, 2) for y in (q, bare.k_proj(x), v))
        cos, sin = (y[:, None] for y in rotary)
        q, k = (y * cos + torch.cat([-y[..., 4:], y[..., :4]], -1) * sin for y in (q, k))
        pk, pv = (own[name].unflatten(-1, (-1, 8)).transpose(0, 1) for name in ("key", "value"))
        wanted = torch.zeros(2, 5, 4, 8)
        for row in range(2):
            for head in range(4):
                for t in range(5):  # every token by itself, as the formula is written
                    gate = prefix[row, t]
                    keys = torch.cat([gate * pk[head // 2], k[row, head // 2, : t + 1]])
                    values = torch.cat([gate * pv[head // 2], v[row, head // 2, : t + 1]])
                    logits = keys @ q[row, head, t] / 8**0.5
                    logits[:3] += torch.tensor(0.5).log()
                    wanted[row, t, head] = logits.softmax(0) @ values
        wanted = bare.o_proj(wanted.flatten(2))
    assert torch.allclose(found, wanted, atol=1e-5)


def test_a_mean_gate_is_refused_where_it_would_look_ahead(tiny_base: Path) -> None:
    with pytest.raises(UserError, match="tokens to come"):
        cells.attach(find_method("unipelt"), language(tiny_llama), gate="mean")
    with pytest.raises(UserError, match="a UNet takes 'mean'"):
        cells.attach(find_method("unipelt"), cells.own_model("unet", tiny_base), gate="token")
