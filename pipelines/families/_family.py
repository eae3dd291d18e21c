"""What a family's file states, and what a loaded base can do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from trainers.roles import Conditioning, Denoiser


class LoadedBase(Denoiser, Protocol):
    """A base in memory. Letters: b batch, c latent channels, h w latent rows and columns."""

    name: str
    """What the user called it."""
    family: str
    fingerprint: str
    """SHA-256 that tells two sets of weights apart."""
    widths: Mapping[str, int]
    """Shape facts that another base must share to carry this one's adapters."""
    resolution_px: int
    """The base's own picture size."""

    def cut_text(self, prompt: str) -> str:
        """Return the end of a prompt that the text encoder does not see, empty when all fits."""
        ...

    def sample(
        self,
        conditioning: Conditioning,
        unconditional: Conditioning,
        noise: Tensor,
        *,
        steps: int,
        guidance: float,
        on_step: Callable[[int], None],
    ) -> list[Image.Image]:
        """Turn noise [b, c, h, w] into pictures; `on_step` is told the steps done and may raise to stop."""
        ...

    def noise_shape(self, width_px: int, height_px: int) -> tuple[int, int, int]:
        """Return (c, h, w) for a picture size.

        Raises:
            UserError: the size is not a multiple of the autoencoder's step.
        """
        ...


@dataclass(frozen=True)
class Family:
    """One kind of base model, as facts."""

    name: str
    title: str
    recognise: Callable[[Path], bool]
    """Whether a folder in diffusers layout holds a base of this family."""
    load: Callable[[str, Path, torch.device, torch.dtype], LoadedBase]
    """(user's name, folder, device, precision of the frozen weights) -> the base, frozen."""
    tiny: Callable[[Path], None]
    """Write a random base of real classes at toy size into a folder, for tests."""
    parts: Sequence[str]
    """The parts a method can attach to."""
