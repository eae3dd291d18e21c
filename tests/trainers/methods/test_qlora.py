"""QLoRA: rounding to 4 bits, its arithmetic and memory, and the plain LoRA that it leaves."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipelines.attach import attached, loading_notices
from pipelines.families import LoadedBase
from tests.support import random_adapter
from tests.trainers.methods import cells
from trainers.errors import UserError
from trainers.methods import find_method
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.kinds.qlora import Rounded

METHOD = find_method("qlora")
# NF4, to four digits as in the paper's appendix E.
BELOW_ZERO = (-1, -0.6962, -0.5251, -0.3949, -0.2844, -0.1848, -0.0911)
FROM_ZERO = (0, 0.0796, 0.1609, 0.2461, 0.3379, 0.4407, 0.5626, 0.7230, 1)
NF4 = torch.tensor((*BELOW_ZERO, *FROM_ZERO), dtype=torch.float64)


def round_by_hand(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight in NF4 with exact scales, and each number's scale."""
    flat = weight.double().reshape(-1)
    padded = torch.cat([flat, flat.new_zeros(-len(flat) % 64)]).reshape(-1, 64)
    scales = padded.abs().amax(dim=1, keepdim=True)
    nearest = ((padded / scales)[..., None] - NF4).abs().argmin(-1)
    cut = slice(0, len(flat))
    rounded = (NF4[nearest] * scales).reshape(-1)[cut].reshape(weight.shape)
    return rounded, scales.expand(-1, 64).reshape(-1)[cut].reshape(weight.shape)


@pytest.mark.parametrize("shape", [(32, 32), (128, 96), (64, 128), (33, 7), (320, 320)])
def test_weights_are_rounded_to_the_nearest_of_sixteen(shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 0.05
    wanted, scales = round_by_hand(weight)
    found = Rounded(weight).dense().double()
    assert found.shape == weight.shape
    # The scales themselves are kept in 8 bits; a number exactly between two steps may fall to either.
    off = (found - wanted).abs() > 0.02 * scales
    assert off.double().mean() < 0.01
    assert float((found - weight).norm() / weight.norm()) < 0.11


def test_rounding_takes_an_eighth_of_the_room() -> None:
    weight = torch.randn(640, 320)
    rounded = Rounded(weight)
    kept = [rounded.packed, rounded.state.absmax, rounded.state.state2.absmax]
    assert sum(tensor.numel() * tensor.element_size() for tensor in kept) < 0.13 * weight.numel() * 4


@pytest.mark.parametrize("name", ["text_encoder", "gpt2"])
def test_a_layer_is_its_rounded_weight_and_the_delta(name: str, tiny_base: Path) -> None:
    model, plain = (cells.own_model(name, tiny_base) for _ in range(2))
    cells.attach(METHOD, model, rank=3, alpha=6.0)
    cells.disturb(model)
    bridge.set_weights(model.module, {"a": 0.7})
    path = next(path for path, _ in bridge.tuner_layers(model.module)).removesuffix(".sidecar_qlora")
    host: Any = model.module.get_submodule(path)
    bare: Any = plain.module.get_submodule(path)
    weight = (bare.weight.T if name == "gpt2" else bare.weight).detach()
    own = host.sidecar_qlora.beside["a"]
    dense = Rounded(weight).dense().double()
    dense += 0.7 * 6.0 / 3 * own["up"].detach().double() @ own["down"].detach().double()
    x = torch.randn(4, weight.shape[1], requires_grad=True)
    found = host(x)
    assert torch.allclose(found.double(), x.double() @ dense.T + bare.bias.double(), atol=1e-5)
    (gradient,) = torch.autograd.grad(found.square().sum(), x)
    assert torch.allclose(gradient.double(), 2 * found.double() @ dense, atol=1e-4)


def test_no_full_weight_is_kept_for_the_gradient() -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(256, 256)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)

    one = One().requires_grad_(False)
    settings = METHOD.settings.model_validate({"rank": 2, "targets": ["layer"]})
    bridge.attach(one, METHOD.peft_config(settings, tuple), "a", what="toy")
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        one(torch.randn(3, 256, requires_grad=True)).sum()
    assert kept
    assert max(kept) < 256 * 256


def test_another_adapter_of_whole_weights_acts_on_the_rounded_ones(tiny_base: Path) -> None:
    model = cells.own_model("text_encoder", tiny_base)
    full = find_method("full")
    cells.attach(METHOD, model)
    cells.attach(full, model, "b")
    cells.disturb(model, "b")
    bridge.set_weights(model.module, {"a": 1.0, "b": 0.5})
    host: Any = model.module.get_submodule("encoder.layers.0.mlp.fc1")
    change = host.sidecar_delta.beside["b"]
    x = torch.randn(2, 32)
    dense = Rounded(host._parameters["weight"]).dense() + 0.5 * change["weight"]
    with torch.no_grad():
        assert torch.allclose(host(x), x @ dense.T + host._parameters["bias"] + 0.5 * change["bias"], atol=1e-5)


def test_the_file_is_a_plain_lora_on_the_full_weights(base: LoadedBase) -> None:
    adapter = random_adapter(base, "x", method="qlora", parts=("text_encoder",), rank=3, alpha=6.0)
    part = adapter.parts["text_encoder"]
    assert part.config["peft_type"] == "LORA"
    host: Any = base.parts["text_encoder"].get_submodule("encoder.layers.1.self_attn.q_proj")
    key = "base_model.model.encoder.layers.1.self_attn.q_proj.lora_{}.weight"
    delta = 2 * part.tensors[key.format("B")] @ part.tensors[key.format("A")]
    x = torch.randn(2, 32)
    wanted = x @ (host.weight + delta).T + host.bias
    with attached(base, {"x": adapter}) as attachments, torch.no_grad():
        attachments.set_weights({"x": 1.0})
        layer: Any = base.parts["text_encoder"].get_submodule("encoder.layers.1.self_attn.q_proj")
        assert torch.allclose(layer(x), wanted, atol=1e-5)
        attachments.set_weights({})
        attachments.merge({"x": 1.0})
        assert torch.allclose(layer(x), wanted, atol=1e-5)
    (notice,) = loading_notices([adapter.card])
    assert "the text_encoder of 'x' learned on weights rounded to 4 bits" in notice


def test_without_the_package_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"bitsandbytes, which is not installed.*adapter-studio\[quantised\]"):
        METHOD.peft_config(METHOD.settings(), tuple)


def test_what_is_no_linear_layer_is_refused(tiny_base: Path) -> None:
    model = cells.own_model("unet", tiny_base)
    with pytest.raises(UserError, match="QLoRA needs linear layers, not Conv2d"):
        cells.attach(METHOD, model, targets=["conv_in"])
