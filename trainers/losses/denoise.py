"""Denoising: the squared error of the predicted noise or velocity.

Sources: Ho et al. 2020, arXiv 2006.11239, eq. 14; for flows, Esser et al. 2024, arXiv 2403.03206, eq. 6.
"""

import torch
from torch import Tensor

from trainers.loss_weightings import Weigh
from trainers.protocols import Conditioning, Denoiser


def denoise(
    role: Denoiser,
    latents: Tensor,
    conditioning: Conditioning,
    generator: torch.Generator,
    weigh: Weigh,
) -> Tensor:
    """Return the weighted mean squared error of one batch, a scalar.

    Args:
        latents: clean latents [b, c, h, w].
        generator: a CPU generator; noise and levels are drawn on the CPU, so that every device sees the same numbers.
        weigh: how much the error of each noise level counts, see `trainers.loss_weightings`.
    """
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    timesteps = role.draw_timesteps(len(latents), generator).to(latents.device)
    noisy = role.add_noise(latents, noise, timesteps)
    predicted = role.predict(noisy, timesteps, conditioning)
    error = (predicted.float() - role.target(latents, noise, timesteps).float()) ** 2
    per_picture = error.flatten(1).mean(1)
    return (per_picture * weigh(role.snr(timesteps), role.prediction).float()).mean()
