"""The methods' mathematics against a few lines of torch written from the papers."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.trainers.methods import cells
from trainers.methods import Learner, find_method
from trainers.methods._own import delta_config
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.merging import merge

pytestmark = pytest.mark.filterwarnings("ignore")


def own_parameters(module: nn.Module, adapter: str = "a") -> dict[str, dict[str, Tensor]]:
    """Return the adapter's parameters by host and name."""
    found: dict[str, dict[str, Tensor]] = {}
    for path, value in bridge.adapter_parameters(module, adapter).items():
        host, _, name = f".{path}".partition(".sidecar_")
        found.setdefault(host.removeprefix("."), {})[name.rpartition(".")[2]] = value.detach()
    return found


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor) -> Tensor:
    """Return softmax(q kᵀ / √d + bias) v with heads cut from [b, t, d]."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + bias
    return (logits.softmax(-1) @ v).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_a_prefix_is_attention_over_more_keys(tiny_base: Path, weight: float) -> None:
    model = cells.own_model("unet", tiny_base)
    cells.attach(find_method("p_tuning_v2"), model, length=3)
    cells.disturb(model, size=1.0)
    bridge.set_weights(model.module, {"a": weight})
    for path, own in own_parameters(model.module).items():
        host: Any = model.module.get_submodule(path)
        x = torch.randn(2, 6, host.to_q.in_features)
        context = torch.randn(2, 5, host.to_k.in_features) if host.is_cross_attention else x
        k = torch.cat([own["key"].expand(2, -1, -1), host.to_k(context)], 1)
        v = torch.cat([own["value"].expand(2, -1, -1), host.to_v(context)], 1)
        bias = torch.cat([torch.full((3,), math.log(weight)), torch.zeros(context.shape[1])])
        wanted = host.to_out[0](attention(host.to_q(x), k, v, host.heads, bias))
        found = host(x, encoder_hidden_states=context if host.is_cross_attention else None)
        assert torch.allclose(found, wanted, atol=1e-5), path


def test_mam_is_a_prefix_and_a_scaled_parallel_adapter(tiny_base: Path) -> None:
    model = cells.own_model("text_encoder", tiny_base)
    plain = cells.own_model("text_encoder", tiny_base)
    cells.attach(find_method("mam"), model, scale=4.0, size=5)
    cells.disturb(model)
    bridge.set_weights(model.module, {"a": 0.5})
    for path, own in own_parameters(model.module).items():
        if path.endswith("mlp"):
            x = torch.randn(2, 4, 32)
            branch = functional.relu(x @ own["down"].T + own["down_bias"]) @ own["up"].T + own["up_bias"]
            wanted = plain.module.get_submodule(path)(x) + 0.5 * 4.0 * branch
            assert torch.allclose(model.module.get_submodule(path)(x), wanted, atol=1e-5)


def test_unipelt_gates_all_three(tiny_base: Path) -> None:
    """In float64: the gates of LoRA and prefix read what the attention is given, the bottleneck's its own input."""
    model = cells.own_model("unet", tiny_base)
    plain = cells.own_model("unet", tiny_base)
    cells.attach(find_method("unipelt"), model)
    cells.disturb(model, size=0.5)
    model.module.double()
    plain.module.double()
    for path, own in own_parameters(model.module).items():
        host, bare = model.module.get_submodule(path), plain.module.get_submodule(path)

        def gate(name: str, h: Tensor, own: dict[str, Tensor] = own) -> Tensor:
            return torch.sigmoid(h @ own[f"{name}_gate"].T + own[f"{name}_gate_bias"]).mean(1, keepdim=True)

        if path.endswith("ff"):
            x = torch.randn(2, 4, bare.net[0].proj.in_features, dtype=torch.float64)
            y = bare(x)
            branch = functional.relu(y @ own["down"].T + own["down_bias"]) @ own["up"].T + own["up_bias"]
            assert torch.allclose(host(x), y + gate("adapter", y) * branch, atol=1e-12), path
            assert not torch.allclose(gate("adapter", y), gate("adapter", x), atol=1e-3)
        else:
            attn: Any = bare
            x = torch.randn(2, 6, attn.to_q.in_features, dtype=torch.float64)
            seen = torch.randn(2, 5, attn.to_k.in_features, dtype=torch.float64) if attn.is_cross_attention else x
            opened, prefix = gate("lora", x), gate("prefix", x)
            q = attn.to_q(x) + opened * (x @ own["query_down"].T @ own["query_up"].T)
            v = attn.to_v(seen) + opened * (seen @ own["value_down"].T @ own["value_up"].T)
            keys = torch.cat([prefix * own["key"], attn.to_k(seen)], 1)
            values = torch.cat([prefix * own["value"], v], 1)
            wanted = attn.to_out[0](attention(q, keys, values, attn.heads, torch.zeros(keys.shape[1])))
            found = host(x, encoder_hidden_states=seen if attn.is_cross_attention else None)
            assert torch.allclose(found, wanted, atol=1e-12), path


def test_unipelt_s_bottleneck_gate_of_a_language_model_is_each_token_s_own(tiny_base: Path) -> None:
    model, plain = cells.own_model("llama", tiny_base), cells.own_model("llama", tiny_base)
    cells.attach(find_method("unipelt"), model)
    cells.disturb(model, size=0.5)
    model.module.double()
    plain.module.double()
    path, own = next((path, own) for path, own in own_parameters(model.module).items() if path.endswith("mlp"))
    x = torch.randn(2, 4, 32, dtype=torch.float64)
    y = plain.module.get_submodule(path)(x)
    branch = functional.relu(y @ own["down"].T + own["down_bias"]) @ own["up"].T + own["up_bias"]
    opened = torch.sigmoid(y @ own["adapter_gate"].T + own["adapter_gate_bias"])
    assert torch.allclose(model.module.get_submodule(path)(x), y + opened * branch, atol=1e-12)


def test_unet_prompts_are_more_context(tiny_base: Path) -> None:
    model = cells.own_model("unet", tiny_base)
    cells.attach(find_method("prompt_tuning"), model, length=4)
    cells.disturb(model, size=1.0)
    (own,) = own_parameters(model.module).values()
    noisy, times, context = torch.randn(2, 4, 8, 8), torch.tensor([10, 900]), torch.randn(2, 7, 32)
    with torch.no_grad():
        found = model.module(noisy, times, context).sample
        bridge.set_weights(model.module, {})
        wanted = model.module(noisy, times, torch.cat([context, own["tokens"].expand(2, -1, -1)], 1)).sample
    assert torch.allclose(found, wanted, atol=1e-5)


def test_text_prompts_stand_behind_the_start_token_and_keep_the_end(tiny_base: Path) -> None:
    model = cells.own_model("text_encoder", tiny_base)
    encoder: Any = model.module
    cells.attach(find_method("prompt_tuning"), model, length=2)
    cells.disturb(model)
    (own,) = own_parameters(encoder).values()
    start, end = 512, 513
    for words in (3, 75):
        ids = torch.tensor([[start, *range(5, 5 + words), *[end] * (76 - words)]])
        with torch.no_grad():
            bridge.set_weights(encoder, {"a": 1.0})
            found = encoder(ids).last_hidden_state
            bridge.set_weights(encoder, {})
            longer = torch.tensor([[start, 0, 0, *range(5, 5 + min(words, 73)), *[end] * max(1, 74 - words)]])
            table = encoder.embeddings.token_embedding

            def learned(_: Any, __: Any, out: Tensor) -> Tensor:
                return torch.cat([out[:, :1], own["tokens"][None], out[:, 3:]], 1)

            handle = table.register_forward_hook(learned)
            wanted = encoder(longer).last_hidden_state
            handle.remove()
        assert torch.equal(found, wanted), words


def test_norms_learn_from_channels_last_inputs() -> None:
    """Torch 2.13 ends the process with a segmentation fault when a delta's group norm is left to it as it is."""
    module = nn.Sequential(nn.GroupNorm(4, 16)).requires_grad_(False)
    bridge.attach(module, delta_config(["0"], ("weight", "bias")), "a", what="toy")
    x, goal = torch.randn(2, 16, 6, 6), torch.randn(2, 16, 6, 6)
    gradients = []
    for form in (torch.contiguous_format, torch.channels_last):
        (module(x.contiguous(memory_format=form)) * goal).sum().backward()
        gradients.append([value.grad.clone() for value in bridge.adapter_parameters(module, "a").values()])
        module.zero_grad(set_to_none=True)
    assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(*gradients, strict=True))
    wanted = (functional.group_norm(x, 4) * goal).sum((0, 2, 3))
    assert any(torch.allclose(value, wanted, atol=1e-4) for value in gradients[1])


def test_adalora_keeps_its_budget(tiny_base: Path) -> None:
    method, model = find_method("adalora"), cells.own_model("text_encoder", tiny_base)
    config = cells.attach(method, model, rank=2, start_rank=4, interval=1)
    settings = cells.settings_of(method, model, rank=2, start_rank=4, interval=1)
    steps = 20
    course = method.course(Learner(model.module, "a", settings, steps))
    values = {k: v for k, v in bridge.adapter_parameters(model.module, "a").items() if "lora_E" in k}
    optimizer = torch.optim.Adam(
        [p for p in bridge.adapter_parameters(model.module, "a").values() if p.requires_grad], lr=1e-2
    )
    first, last, warm, final = 4 * len(values), 2 * len(values), 2, 6
    for step in range(steps):
        (cells.loss(model) + course.penalty()).backward()
        optimizer.step()
        course.after_step(step, skipped=False)
        optimizer.zero_grad(set_to_none=True)
        t = step + 1
        share = 1 - (t - warm) / (steps - final - warm)
        budget = first if t <= warm else last if t >= steps - final else int(last + (first - last) * share**3)
        assert sum(int((v != 0).sum()) for v in values.values()) == budget, t
    part = cells.saved(method, model, config)
    ranks = [t.shape[0] for key, t in part.tensors.items() if "lora_A" in key]
    assert sum(ranks) == last
    assert part.config["peft_type"] == "LORA"


@torch.no_grad()
def test_two_doras_on_one_layer_each_move_the_output_from_the_base_s(tiny_base: Path) -> None:
    """Live and merged alike, in float64, with a bias that no magnitude touches."""
    model = cells.own_model("text_encoder", tiny_base)
    weights = {"a": 0.6, "b": 1.5}
    for seed, name in enumerate(weights):
        cells.attach(find_method("dora"), model, name, seed)
        cells.disturb(model, name, seed)
    model.module.double()
    path, layer = next((path, layer) for path, layer in bridge.tuner_layers(model.module) if path.endswith("q_proj"))
    base = layer.get_base_layer()
    assert base.bias is not None
    x = torch.randn(5, base.in_features, dtype=torch.float64)
    wanted = x @ base.weight.T + base.bias
    for name, weight in weights.items():
        change = layer.lora_alpha[name] / layer.r[name] * layer.lora_B[name].weight @ layer.lora_A[name].weight
        whole = base.weight + change
        whole = layer.lora_magnitude_vector[name].weight[:, None] * whole / whole.norm(dim=1, keepdim=True)
        wanted = wanted + weight * (x @ (whole - base.weight).T)
    bridge.set_weights(model.module, weights)
    assert torch.allclose(layer(x), wanted, atol=1e-12), path
    unmerge = merge(model.module, weights, what="toy")
    assert torch.allclose(layer(x), wanted, atol=1e-6), path  # PEFT merges in float32
    unmerge()


def test_adalora_saves_layers_that_lost_every_rank(tiny_base: Path) -> None:
    """Such layers are left out of the file, which then loads with the same effect."""
    method, model = find_method("adalora"), cells.own_model("llama", tiny_base)
    config = cells.attach(method, model)
    cells.disturb(model, size=0.3)
    values = [v for k, v in bridge.adapter_parameters(model.module, "a").items() if "lora_E" in k]
    values[0].data.zero_()
    values[1].data[1:] = 0
    wanted = cells.output(model)
    part = cells.saved(method, model, config)
    assert len(part.tensors) == 2 * (len(values) - 1)
    assert 1 in {tensor.shape[0] for key, tensor in part.tensors.items() if "lora_A" in key}
    bridge.detach(model.module, "a")
    cells.load(model, part, "read")
    assert torch.allclose(cells.output(model), wanted, atol=1e-5)


@torch.no_grad()
def test_delora_computes_its_delta_and_stays_within_float16(tiny_base: Path) -> None:
    model = cells.own_model("unet", tiny_base)
    cells.attach(find_method("delora"), model)
    layer = next(layer for path, layer in bridge.tuner_layers(model.module) if path.endswith("attn1.to_q"))
    x = torch.randn(5, layer.base_layer.in_features)
    with torch.autocast("cpu", dtype=torch.float16):
        assert torch.equal(layer(4 * x), layer.base_layer(4 * x))  # fresh, when it divides by the smallest norm
    cells.disturb(model)
    model.module.double()
    x = x.double()
    down, up, strength = layer.delora_A["a"], layer.delora_B["a"], layer.delora_lambda["a"]
    rank = len(down)
    wanted = layer.base_layer(x)
    norms = layer.base_layer.weight.norm(dim=0)
    for i in range(rank):
        direction = torch.outer(up[:, i] / up[:, i].norm(), down[i] / down[i].norm())
        wanted = wanted + x @ (strength / rank * direction * norms).T
    assert torch.allclose(layer(x), wanted, rtol=1e-6), "norms are kept in float32"
