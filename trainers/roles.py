"""What the loop asks of a base model. A family satisfies these by shape; nothing inherits from them.

Letters: b batch, c latent channels, h w latent rows and columns, t tokens, d width.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

Conditioning = Mapping[str, Tensor]
"""What the denoiser is told about the prompts, one row per picture in every tensor."""


class Denoiser(Protocol):
    """A latent diffusion model, seen by the training loop."""

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """The modules that a method can attach to, by part."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        ...

    @property
    def timesteps(self) -> int:
        """Number of noise levels; 0 is the cleanest."""
        ...

    def targets(self, part: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """Turn kinds of layers (``attention`` …) into literal module names; other words pass through."""
        ...

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode pixels [b, 3, height, width] in -1 to 1 into the mean and deviation of scaled latents [b, c, h, w]."""
        ...

    def encode_text(self, captions: Sequence[str]) -> Conditioning:
        """Encode captions, cut at the text encoder's limit. Gradients reach the text encoder."""
        ...

    def word_numbers(self, part: str, text: str) -> list[int]:
        """Return the numbers of a text's words in the vocabulary of a text encoder, without start and end.

        Raises:
            UserError: the part reads no text.
        """
        ...

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Mix latents with noise at the given levels [b]."""
        ...

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Return the model's output [b, c, h, w] for noisy latents."""
        ...

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what `predict` should have said: the noise, or the velocity, as the base was trained."""
        ...

    def loss_weight(self, timesteps: Tensor, snr_gamma: float | None) -> Tensor:
        """Return the weight [b] of the squared error at each level."""
        ...
