"""Noise processes: how a family mixes latents with noise, and what its model then predicts.

Level 0 is the cleanest. A diffusion's levels are the steps of its schedule; a flow's stand for shares of noise σ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class NoiseProcess(Protocol):
    """What `trainers.protocols.Denoiser` says of noise; a family's base hands its questions on."""

    @property
    def prediction(self) -> str: ...

    @property
    def timesteps(self) -> int: ...

    def draw_timesteps(self, count: int, generator: torch.Generator) -> Tensor: ...

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...

    def snr(self, timesteps: Tensor) -> Tensor: ...


class Diffusion:
    """x_t = √ᾱ x₀ + √(1−ᾱ) ε by a schedule of diffusers; the model predicts the noise or the velocity."""

    def __init__(self, schedule: Any) -> None:
        self.schedule = schedule

    @property
    def prediction(self) -> str:
        return str(self.schedule.config.prediction_type)

    @property
    def timesteps(self) -> int:
        return int(self.schedule.config.num_train_timesteps)

    def draw_timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        import torch

        return torch.randint(self.timesteps, (count,), generator=generator)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return self.schedule.add_noise(latents, noise, timesteps)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        if self.prediction == "v_prediction":
            return self.schedule.get_velocity(latents, noise, timesteps)
        return noise

    def snr(self, timesteps: Tensor) -> Tensor:
        signal = self.schedule.alphas_cumprod.to(timesteps.device)[timesteps].double()
        return signal / (1 - signal)


class RectifiedFlow:
    """x_t = (1−σ) x₀ + σ ε; the model predicts the flow's velocity ε − x₀ (Esser et al. 2024, arXiv 2403.03206).

    Levels are drawn logit-normal, as in the paper's section 3.1: levels in the middle, where there is most to learn,
    come most often.
    """

    prediction = "flow"

    def __init__(self, sigmas: Tensor) -> None:
        """Take the share of noise σ of every level, from the cleanest to pure noise."""
        self.sigmas = sigmas

    @property
    def timesteps(self) -> int:
        return len(self.sigmas)

    def draw_timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        import torch

        places = torch.sigmoid(torch.randn(count, generator=generator))
        return (places * self.timesteps).long().clamp(max=self.timesteps - 1)

    def sigma(self, timesteps: Tensor) -> Tensor:
        """Return the share of noise [b] at each level."""
        return self.sigmas.to(timesteps.device)[timesteps]

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        sigma = self.sigma(timesteps).to(latents.dtype).view(-1, *[1] * (latents.ndim - 1))
        return (1 - sigma) * latents + sigma * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return noise - latents

    def snr(self, timesteps: Tensor) -> Tensor:
        sigma = self.sigma(timesteps).double()
        return ((1 - sigma) / sigma) ** 2
