"""Latents of the training pictures, encoded once before the first step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd

import torch
from torch import Tensor

from trainers.data.images import Picture, image_pixels, open_image
from trainers.protocols import Denoiser


@dataclass(frozen=True)
class Latents:
    """The whole training set as latents, on the CPU. n pictures, or 2n when each is also mirrored."""

    mean: Tensor
    """[n, c, h, w], scaled as the denoiser expects."""
    deviation: Tensor
    """[n, c, h, w]; a fresh draw each step keeps the autoencoder's own noise as augmentation."""
    captions: tuple[str, ...]
    repeats: tuple[int, ...] = ()
    """How often each is seen in a pass over the data; empty for once each."""

    @cached_property
    def one_pass(self) -> tuple[int, ...]:
        """The shortest pass that sees each as often as its repeats ask, as indices; data are shuffled within passes."""
        if not self.repeats:
            return tuple(range(len(self.captions)))
        common = gcd(*self.repeats)
        return tuple(index for index, times in enumerate(self.repeats) for _ in range(times // common))

    def draw(self, indices: Sequence[int], generator: torch.Generator) -> Tensor:
        """Return sampled latents [b, c, h, w] of the given pictures."""
        mean, deviation = self.mean[list(indices)], self.deviation[list(indices)]
        return mean + deviation * torch.randn(mean.shape, generator=generator)


@torch.no_grad()
def encode_latents(
    role: Denoiser, pictures: Sequence[Picture], *, size_px: int, flip: bool, batch_size: int = 8
) -> Iterator[tuple[int, Latents | None]]:
    """Encode all pictures; yield (pictures done, None) on the way and (all, latents) last."""
    means: list[Tensor] = []
    deviations: list[Tensor] = []
    captions: list[str] = []
    repeats: list[int] = []
    for mirrored in (False, True) if flip else (False,):
        for start in range(0, len(pictures), batch_size):
            chunk = pictures[start : start + batch_size]
            pixels = torch.stack([image_pixels(open_image(p.path), size_px) for p in chunk])
            mean, deviation = role.encode_images(pixels.flip(3) if mirrored else pixels)
            means.append(mean.float().cpu())
            deviations.append(deviation.float().cpu())
            captions += [picture.caption for picture in chunk]
            repeats += [picture.repeats for picture in chunk]
            yield len(captions), None
    yield len(captions), Latents(torch.cat(means), torch.cat(deviations), tuple(captions), tuple(repeats))
