"""The cells of the table methods × parts, on toy models of the real classes."""

import functools
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.families._language import language_targets, tiny_gpt2, tiny_llama
from pipelines.families.sd1 import FAMILY
from tests.support import demands
from trainers.adapter import AdapterPart, config_as_json
from trainers.methods import Fresh, Method, find_method, methods
from trainers.tuners import peft_bridge as bridge

MODELS = ("unet", "text_encoder", "llama", "gpt2")
SIZES: dict[str, dict[str, Any]] = {  # settings that fit toy widths
    "fourierft": {"frequencies": 40},
    "waveft": {"coefficients": 20},
    "randlora": {"scale": 1.0},
}
LACKING = {("bitfit", "llama")}  # refused with a sentence: a Llama has no biases


@dataclass(frozen=True)
class Model:
    """One toy part, how to find its layers, and one input."""

    part: str
    module: nn.Module
    resolve: Callable[[Sequence[str]], tuple[str, ...]]
    forward: Callable[[nn.Module], Tensor]
    folder: Path
    """Where adapters that a method builds on can be written; each model has its own."""
    token_ids: Callable[[str], list[int]] = lambda text: []


def part_of(model: str) -> str:
    """Return the part that a toy model stands for."""
    return "language_model" if model in ("llama", "gpt2") else model


def cells(chosen: Callable[[Method], bool] = lambda method: True) -> list[tuple[str, str]]:
    """Return every (method, model) that the registry promises."""
    return [
        (name, model)
        for name, method in methods().items()
        if chosen(method)
        for model in MODELS
        if (name, model) not in LACKING and method.fits(part_of(model)) and (model != "gpt2" or method.transposed)
    ]


@functools.cache
def model(name: str, folder: Path) -> Model:
    """Return a toy model in evaluation mode; it is shared, and every test must leave it as it found it."""
    return own_model(name, folder)


def own_model(name: str, folder: Path) -> Model:
    """Return a toy model in evaluation mode that nobody else uses."""
    own = folder.parent / f"cells-{uuid.uuid4().hex}"
    ids = torch.randint(3, 60, (2, 9), generator=torch.Generator().manual_seed(1))
    if name in ("llama", "gpt2"):
        language = (tiny_llama if name == "llama" else tiny_gpt2)().requires_grad_(False)
        return Model(
            "language_model",
            language,
            language_targets(language),
            lambda module: module(input_ids=ids, use_cache=False).logits,
            own,
        )
    base = FAMILY.load("tiny", folder, torch.device("cpu"), torch.float32)
    generator = torch.Generator().manual_seed(2)
    if name == "text_encoder":
        text = base.encode_text  # the tokens of real captions
        return Model(
            name,
            base.parts[name],
            lambda wanted: base.targets(name, wanted),
            lambda _: _only(text(["a <new> boat", "sea"])),
            own,
            lambda words: base.token_ids(name, words),
        )
    noisy = torch.randn(2, 4, 8, 8, generator=generator)
    context = torch.randn(2, 7, 32, generator=generator)
    times = torch.tensor([300, 700])
    return Model(
        name,
        base.parts[name],
        lambda wanted: base.targets(name, wanted),
        lambda module: module(noisy.to(module.dtype), times, context.to(module.dtype)).sample,
        own,
    )


def _only(values: Any) -> Tensor:
    (value,) = values.values()
    return value


def settings_of(method: Method, model: Model, **changes: Any) -> Any:
    """Return a method's recommended settings at toy size."""
    sizes = {**SIZES.get(method.name, {}), **_demands(method.name, model)}
    return method.settings.model_validate({**method.recommendation(model.part).settings, **sizes, **changes})


@functools.cache
def _demands(name: str, model: Model) -> dict[str, Any]:
    return demands(find_method(name), model.part, model.module, model.resolve, model.folder)


def attach(method: Method, model: Model, adapter: str = "a", seed: int = 0, **changes: Any) -> Any:
    """Attach a fresh adapter; return its PEFT config."""
    settings = settings_of(method, model, **changes)
    config = method.peft_config(settings, model.resolve)
    torch.manual_seed(seed)
    try:
        bridge.attach(model.module, config, adapter, what=model.part)
    except BaseException:
        bridge.detach(model.module, adapter)
        raise
    if method.prepare is not None:
        method.prepare(Fresh(model.module, adapter, settings, model.resolve, model.token_ids))
    return config


def disturb(model: Model, adapter: str = "a", seed: int = 0, size: float = 0.1) -> None:
    """Move every trained number of an adapter, so that it has an effect."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in bridge.adapter_parameters(model.module, adapter).values():
        if parameter.requires_grad:
            parameter.data += size * torch.randn(parameter.shape, generator=generator)


def saved(method: Method, model: Model, config: Any, adapter: str = "a") -> AdapterPart:
    """Return an attached adapter as it would be saved."""
    values, tensors = config_as_json(config), bridge.read_state(model.module, adapter)
    return AdapterPart(*(method.fold(values, tensors) if method.fold is not None else (values, tensors)))


def load(model: Model, part: AdapterPart, adapter: str = "a") -> None:
    """Attach what was saved."""
    config = bridge.config_from_json(part.config, what="test")
    bridge.attach(model.module, config, adapter, what=model.part)
    bridge.load_state(model.module, adapter, part.tensors, what=model.part)


@torch.no_grad()
def output(model: Model) -> Tensor:
    """Return the model's output on its one input."""
    return model.forward(model.module).clone()


def output_at(model: Model, weights: dict[str, float]) -> Tensor:
    """Return the model's output with its adapters at these weights, and leave them there."""
    bridge.set_weights(model.module, weights)
    return output(model)


def loss(model: Model) -> Tensor:
    """Return a loss that an adapter can lower: the squared distance from outputs drawn once."""
    found = model.forward(model.module).float()
    goal = torch.randn(found.shape, generator=torch.Generator().manual_seed(7))
    return (found - goal).square().mean()


def _attributes(module: nn.Module) -> dict[str, list[str]]:
    return {
        path: sorted(name for name in part.__dict__ if "checkpointing" not in name)
        for path, part in module.named_modules()
    }


@contextmanager
def untouched(model: Model) -> Iterator[None]:
    """Check that a model is, bit for bit and object for object, what it was before the block."""
    module = model.module
    objects = {path: id(part) for path, part in module.named_modules()}
    values = {name: value.clone() for name, value in module.state_dict().items()}
    attributes = _attributes(module)
    hooks = {path: (len(part._forward_hooks), len(part._forward_pre_hooks)) for path, part in module.named_modules()}
    before = output(model)
    try:
        yield
    finally:
        for adapter in list(getattr(module, "peft_config", {})):
            bridge.detach(module, adapter)
        module.eval().requires_grad_(False)
    assert {path: id(part) for path, part in module.named_modules()} == objects
    assert list(module.state_dict()) == list(values)
    assert all(torch.equal(value, values[name]) for name, value in module.state_dict().items())
    assert _attributes(module) == attributes
    assert hooks == {
        path: (len(part._forward_hooks), len(part._forward_pre_hooks)) for path, part in module.named_modules()
    }
    assert torch.equal(output(model), before)
