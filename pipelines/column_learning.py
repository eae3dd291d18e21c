"""Learn the column numbers of ZipLoRA on a loaded base, see `pipelines.blends.ziplora`."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.blends._blend import Address, Layer, Learning
from pipelines.deltas import LowRankDelta
from pipelines.factors import total
from pipelines.generate import image_noise
from pipelines.live import WeightSwitch
from trainers.errors import UserError
from trainers.parts import DENOISER, kind_of
from trainers.precision import arithmetic_of
from trainers.protocols import Conditioning

Columns = dict[Address, dict[str, Tensor]]


def learn_columns(learning: Learning, settings: Any) -> Mapping[Address, Mapping[str, Tensor]]:
    """Return, for every layer of the denoiser that two adapters share, each adapter's factors [i] on the input columns.

    The weights of the recipe are in them.

    Raises:
        UserError: a layer is not in factor form, or nothing is shared.
    """
    shared = [layer for layer in learning.layers if kind_of(layer.part) == DENOISER and len(layer.deltas) > 1]
    dense = [layer.path for layer in shared if not all(isinstance(delta, LowRankDelta) for delta in layer.deltas)]
    if dense or not shared:
        reason = f"{dense[0]} has no factors" if dense else "no layer of the denoiser is touched by two adapters"
        raise UserError(f"ZipLoRA cannot learn here: {reason}. It needs LoRAs on the same layers of the denoiser.")
    base = learning.base
    columns: Columns = {
        (layer.part, layer.path): {
            name: torch.full((layer.deltas[0].shape[1],), weight, device=base.device).requires_grad_()
            for name, weight in zip(layer.names, layer.weights, strict=True)
        }
        for layer in shared
    }
    names = sorted(learning.layers[0].inputs)
    samples = [sample for name in names for sample in _samples(learning, settings, name)]
    optimizer = torch.optim.Adam([m for by in columns.values() for m in by.values()], lr=settings.learning_rate)
    unshared = {(layer.part, layer.path): total(layer.deltas, layer.weights)
                for layer in learning.layers if (layer.part, layer.path) not in columns}  # fmt: skip
    switch = WeightSwitch(base)
    try:
        switch.set(unshared)
        with torch.no_grad():
            merged_text = [_detached(base.encode_text([prompt])) for _, prompt, *_ in samples]
        with _scaled_columns(base.parts[shared[0].part], shared, columns):
            for step in range(settings.steps):
                _, _, noisy, timestep, wanted = samples[step % len(samples)]
                with arithmetic_of(base):
                    predicted = base.predict(noisy, timestep, merged_text[step % len(samples)])
                    loss = functional.mse_loss(predicted.float(), wanted.float())
                loss = loss + settings.overlap_penalty * _overlap(columns)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                learning.on_step(step + 1, settings.steps)
    finally:
        switch.restore()
    return {address: {name: m.detach().double().cpu() for name, m in by.items()} for address, by in columns.items()}


Sample = tuple[str, str, Tensor, Tensor, Tensor]
"""Input, prompt, noisy latents, timestep, and what the input alone predicts for them."""


@torch.no_grad()
def _samples(learning: Learning, settings: Any, name: str) -> list[Sample]:
    """Let one adapter alone draw its prompts, and note what it predicts for the noised pictures."""
    base = learning.base
    prompts = settings.prompts.get(name) or (", ".join(learning.triggers.get(name, ())) or "a picture",)
    alone = {
        (layer.part, layer.path): layer.deltas[layer.names.index(name)].scaled(layer.weights[layer.names.index(name)])
        for layer in learning.layers
        if name in layer.names
    }
    switch = WeightSwitch(base)
    found: list[Sample] = []
    try:
        switch.set(alone)
        shape = base.noise_shape(base.resolution_px, base.resolution_px)
        for number in range(settings.pictures):
            prompt = prompts[number % len(prompts)]
            text = base.encode_text([prompt])
            noise = image_noise(learning.seed + number, shape)[None]
            (picture,) = base.sample(
                text,
                base.encode_text([""]),
                noise,
                num_inference_steps=settings.sampling_steps,
                guidance_scale=3.0,
                on_step=lambda _: None,
            )
            latents, _ = base.encode_images(_pixels(picture)[None].to(base.device))
            generator = torch.Generator().manual_seed(learning.seed + 7919 * (number + 1))
            timestep = torch.randint(base.timesteps // 10, base.timesteps, (1,), generator=generator).to(base.device)
            fresh = torch.randn(latents.shape, generator=generator).to(latents)
            noisy = base.add_noise(latents, fresh, timestep)
            with arithmetic_of(base):
                wanted = base.predict(noisy, timestep, text)
            found.append((name, prompt, noisy, timestep, wanted))
    finally:
        switch.restore()
    return found


def _pixels(picture: Any) -> Tensor:
    import numpy

    values = torch.from_numpy(numpy.asarray(picture.convert("RGB"), dtype="float32").copy())
    return values.permute(2, 0, 1) / 127.5 - 1


@contextlib.contextmanager
def _scaled_columns(denoiser: nn.Module, layers: Sequence[Layer], columns: Columns) -> Iterator[None]:
    """Let every layer add Σ Bᵢ Aᵢ (mᵢ ∘ x); scaling the input is scaling the columns."""
    handles = []
    for layer in layers:
        own = columns[layer.part, layer.path]
        handles.append(denoiser.get_submodule(layer.path).register_forward_hook(_adding(layer, own)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _adding(layer: Layer, own: Mapping[str, Tensor]) -> Callable[..., Tensor]:
    factors = [(own[name], delta) for name, delta in zip(layer.names, layer.deltas, strict=True)]
    ready = [(m, d.up.to(m), d.down.to(m)) for m, d in factors if isinstance(d, LowRankDelta)]

    def hook(host: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = inputs[0].float()
        for m, up, down in ready:
            if isinstance(host, nn.Conv2d):
                inner = functional.conv2d(
                    x * m[None, :, None, None], down, None, host.stride, host.padding, host.dilation
                )
                output = output + functional.conv2d(inner, up).to(output.dtype)
            else:
                output = output + functional.linear(functional.linear(x * m, down), up).to(output.dtype)
        return output

    return hook


def _overlap(columns: Columns) -> Tensor:
    """Return the mean of |mᵢ·mⱼ| over columns, layers and pairs."""
    products = []
    for by in columns.values():
        found = list(by.values())
        products += [(a * b).abs().mean() for k, a in enumerate(found) for b in found[k + 1 :]]
    return torch.stack(products).mean()


def _detached(conditioning: Conditioning) -> Conditioning:
    return {key: value.detach() if isinstance(value, Tensor) else value for key, value in conditioning.items()}
