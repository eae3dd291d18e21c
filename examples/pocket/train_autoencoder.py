"""Trains the pocket base's autoencoder from scratch on drawn pictures and random textures.

    python examples/pocket/train_autoencoder.py --data pocket-data/all pocket-data/texture \\
        --minutes 4 --out pipelines/pocket/base/vae

gives an ordinary AutoencoderKL folder (fp16 safetensors). Most steps see 128-pixel crops, the last ones
whole pictures, because group normalisation sees other statistics there. `--tiny` is a thin model for tests.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import nn
from training.data import batches, load_pictures, read_recipe, to_model
from training.latents import normalise
from training.loop import (
    Average,
    Budget,
    Log,
    autocast,
    make_optimizer,
    pick_device,
    seed_everything,
    set_rate,
    write_record,
)
from training.models import PICTURE_PX, POCKET, TINY, build_autoencoder

CROP_PX = 128
WHOLE_PICTURES_FROM = 0.8
PEAK_RATE = 1e-3
# Enough to keep the latents compact without costing detail: the loss is per pixel, this per latent.
DIVERGENCE_WEIGHT = 2e-5
SQUARE_WEIGHT = 2.0
EDGE_WEIGHT = 0.5
NORMALISE_PICTURES = 4096


class Reconstruction(nn.Module):
    """The autoencoder with its loss as one module, so that all of it is compiled together."""

    def __init__(self, autoencoder: AutoencoderKL) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, images: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Loss and squared error of images [b, 3, h, w] in -1..1, noise [b, 4, h / 8, w / 8]."""
        moments = self.autoencoder.quant_conv(self.autoencoder.encoder(images))
        mean, log_variance = moments.float().chunk(2, dim=1)
        log_variance = log_variance.clamp(-30, 20)
        latents = mean + noise * (0.5 * log_variance).exp()
        decoded = self.autoencoder.decoder(self.autoencoder.post_quant_conv(latents)).float()
        difference = decoded - images
        square = difference.square().mean()
        edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        loss = (
            difference.abs().mean()
            + SQUARE_WEIGHT * square
            + EDGE_WEIGHT * edges
            + DIVERGENCE_WEIGHT * divergence
        )
        return loss, square, divergence


def crops(pictures: torch.Tensor, batch: int, size_px: int) -> torch.Tensor:
    """Random crops of random pictures, mirrored half of the time, float [b, 3, size, size]."""
    device = pictures.device
    chosen = torch.randint(len(pictures), (batch,), device=device)
    window = torch.arange(size_px, device=device)
    top, left = torch.randint(PICTURE_PX - size_px + 1, (2, batch, 1), device=device)
    rows, columns = top + window, left + window
    mirror = torch.rand(batch, 1, device=device) < 0.5
    columns = torch.where(mirror, columns.flip(1), columns)
    picked = pictures[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
    return to_model(picked).contiguous(memory_format=torch.channels_last)


def train(
    autoencoder: AutoencoderKL, pictures: torch.Tensor, budget: Budget, batch: int, compiled: bool
) -> None:
    """Trains in place; ends with the averaged weights."""
    device = pictures.device
    model = Reconstruction(autoencoder).to(device, memory_format=torch.channels_last)
    step_loss = torch.compile(model, dynamic=False) if compiled else model
    parameters = list(autoencoder.parameters())
    optimizer = make_optimizer(parameters, decay=1e-4)
    average, log = Average(parameters), Log(budget)
    for progress in budget:
        set_rate(optimizer, PEAK_RATE, progress)
        whole = progress >= WHOLE_PICTURES_FROM
        images = crops(
            pictures, max(1, batch // 4) if whole else batch, PICTURE_PX if whole else CROP_PX
        )
        side = images.shape[-1] // 8
        noise = torch.randn(len(images), 4, side, side, device=device)
        with autocast(device):
            loss, square, divergence = step_loss(images, noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update()
        log.add(loss=loss, square=square, divergence=divergence, gradient=norm)
    log.flush()
    average.apply()


@torch.no_grad()
def mean_psnr_db(autoencoder: AutoencoderKL, pictures: torch.Tensor) -> float:
    """The mean over pictures, uint8 [n, 256, 256, 3], of each one's peak signal-to-noise ratio."""
    values = []
    for part in batches(len(pictures), 16):
        images = to_model(pictures[part])
        decoded = autoencoder(images).sample.clamp(-1, 1)
        error = (decoded - images).square().mean(dim=(1, 2, 3))
        values.append(10 * torch.log10(4 / error))
    return float(torch.cat(values).mean())


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--steps", type=int, help="a fixed number of steps instead of minutes")
    parser.add_argument("--batch", type=int, default=64, help="crops per step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="a thin model, for tests")
    return parser.parse_args()


def main() -> None:
    """Trains, normalises the latents, saves."""
    options = parse()
    seed_everything(options.seed)
    torch.set_float32_matmul_precision("high")
    device = pick_device(options.device)
    pictures = load_pictures(options.data, device)
    autoencoder = build_autoencoder(TINY if options.tiny else POCKET).to(device)
    budget = Budget(options.minutes, options.steps)
    train(autoencoder, pictures, budget, options.batch, options.compile)
    # The scale of the latents is measured on scenes alone: textures are not what the base draws.
    scenes = read_recipe(options.data[0]).pictures
    normalise(autoencoder, pictures[: min(scenes, NORMALISE_PICTURES)])
    psnr = mean_psnr_db(autoencoder, pictures[: min(scenes, 256)])
    autoencoder.to(torch.float16, memory_format=torch.contiguous_format).save_pretrained(
        options.out
    )
    recipes = [str(read_recipe(folder)) for folder in options.data]
    write_record(
        options.out, device, budget, seed=options.seed, data=recipes, training_psnr_db=psnr
    )
    print(f"saved {options.out} after {budget.step} steps, {psnr:.1f} dB on training pictures")


if __name__ == "__main__":
    main()
