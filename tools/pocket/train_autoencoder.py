"""Trains the pocket base's autoencoder from scratch on drawn pictures and random textures.

    python tools/pocket/train_autoencoder.py --data pocket-data/all pocket-data/texture \\
        --minutes 6.5 --compile --out pipelines/pocket/base/vae

gives an ordinary AutoencoderKL folder (fp16 safetensors). The first steps see many 128-pixel crops, the others
whole pictures, where group normalisation has other statistics and textures have their place. `--tiny` is
a thin model for tests.

    python tools/pocket/train_autoencoder.py --data pocket-data/all pocket-data/texture \\
        --decoder-only --minutes 5 --compile --out pipelines/pocket/base/vae

goes on with the decoder of that folder alone, for decibels alone. Latents stay what they are, so a base
that was trained on them stays right.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import nn
from training.data import jobs, load_pictures, read_recipe, to_model
from training.graph import recorded
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
from training.measures import by_style, psnr_db
from training.models import (
    DOWNSAMPLING,
    LATENT_CHANNELS,
    PICTURE_PX,
    POCKET,
    TINY,
    build_autoencoder,
)

CROP_PX = 128
WHOLE_PICTURES_FROM = 0.2
PEAK_RATE = 1e-3
# Keeps the latents compact and the decoder patient with small errors in them, at a noise well below
# what the decoder itself gets wrong.
DIVERGENCE_WEIGHT = 3e-4
EDGE_WEIGHT = 0.5
# A step of one decibel counts the same in a smooth picture as in a coarse one.
DECIBEL_WEIGHT = 0.02
DECIBEL_FLOOR = 1e-4
NORMALISE_PICTURES = 4096
PSNR_PICTURES = 480


class Reconstruction(nn.Module):
    """The autoencoder with its loss as one module, so that all of it is compiled together."""

    def __init__(self, autoencoder: AutoencoderKL, decoder_only: bool) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.decoder_only = decoder_only

    def forward(self, images: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Loss, squared error, divergence for images [b, 3, h, w] in -1..1, noise [b, 8, h/8, w/8]."""
        with torch.set_grad_enabled(not self.decoder_only):
            moments = self.autoencoder.quant_conv(self.autoencoder.encoder(images))
        mean, log_variance = moments.float().chunk(2, dim=1)
        log_variance = log_variance.clamp(-30, 20)
        latents = mean + noise * (0.5 * log_variance).exp()
        decoded = self.autoencoder.decoder(self.autoencoder.post_quant_conv(latents)).float()
        difference = decoded - images
        squares = difference.square().mean(dim=(1, 2, 3))
        edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
        decibels = (squares + DECIBEL_FLOOR).log().mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        if self.decoder_only:
            return decibels, squares.mean(), divergence
        loss = (
            difference.abs().mean() + DECIBEL_WEIGHT * decibels + EDGE_WEIGHT * edges + DIVERGENCE_WEIGHT * divergence
        )
        return loss, squares.mean(), divergence


def crops(pictures: torch.Tensor, batch: int, size_px: int) -> torch.Tensor:
    """Random crops of random pictures, float [b, 3, size, size].

    They start at multiples of 8, so that a texture with a fixed place on the canvas keeps its place in
    the grid of latents.
    """
    device = pictures.device
    chosen = torch.randint(len(pictures), (batch,), device=device)
    window = torch.arange(size_px, device=device)
    places = (PICTURE_PX - size_px) // DOWNSAMPLING + 1
    top, left = torch.randint(places, (2, batch, 1), device=device) * DOWNSAMPLING
    rows, columns = top + window, left + window
    picked = pictures[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
    return to_model(picked).contiguous(memory_format=torch.channels_last)


def train(autoencoder: AutoencoderKL, pictures: torch.Tensor, budget: Budget, options: argparse.Namespace) -> None:
    """Trains in place; ends with the averaged weights."""
    device, batch = pictures.device, options.batch
    model = Reconstruction(autoencoder, options.decoder_only).to(device, memory_format=torch.channels_last)
    if options.decoder_only:
        autoencoder.encoder.requires_grad_(False)
        autoencoder.quant_conv.requires_grad_(False)
    parameters = [parameter for parameter in autoencoder.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(parameters, decay=1e-4)
    average, log = Average(parameters), Log(budget)

    # Compiling takes as long as a thousand steps, so only the long stage is compiled.
    whole = torch.compile(model, dynamic=False) if options.compile else model

    def step(count: int, size_px: int) -> dict[str, torch.Tensor]:
        images = crops(pictures, count, size_px)
        side = size_px // DOWNSAMPLING
        noise = torch.randn(count, LATENT_CHANNELS, side, side, device=device)
        with autocast(device):
            loss, square, divergence = (whole if size_px == PICTURE_PX else model)(images, noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return {"loss": loss, "square": square, "divergence": divergence, "gradient": norm}

    set_rate(optimizer, PEAK_RATE, 0)
    whole_from = 0.0 if options.decoder_only else WHOLE_PICTURES_FROM
    stages = [(0.0, batch, CROP_PX), (whole_from, max(1, batch // 4), PICTURE_PX)]
    for progress in budget:
        set_rate(optimizer, PEAK_RATE, progress)
        if stages and progress >= stages[0][0]:
            due = [stage for stage in stages if progress >= stage[0]]
            stages = stages[len(due) :]
            _, count, size_px = due[-1]
            run = recorded(partial(step, count, size_px), device, not options.no_graph)
        figures = run()
        average.update()
        log.add(**figures)
    log.flush()
    average.apply()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.5)
    parser.add_argument("--steps", type=int, help="a fixed number of steps instead of minutes")
    parser.add_argument("--batch", type=int, default=64, help="crops per step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device")
    parser.add_argument("--compile", action="store_true", help="compile for speed, in a minute")
    parser.add_argument("--no-graph", action="store_true", help="launch every kernel by itself")
    parser.add_argument("--decoder-only", action="store_true", help="go on with the decoder in --out")
    parser.add_argument("--tiny", action="store_true", help="a thin model, for tests")
    return parser.parse_args()


def main() -> None:
    """Trains, normalises the latents, saves."""
    options = parse()
    seed_everything(options.seed)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    device = pick_device(options.device)
    pictures = load_pictures(options.data, device)
    if options.decoder_only:
        # Not from_pretrained, which notes the folder in the configuration.
        autoencoder = AutoencoderKL.from_config(AutoencoderKL.load_config(options.out))
        autoencoder.load_state_dict(load_file(options.out / "diffusion_pytorch_model.safetensors"))
    else:
        autoencoder = build_autoencoder(TINY if options.tiny else POCKET)
    autoencoder.to(device)
    budget = Budget(options.minutes, options.steps)
    train(autoencoder, pictures, budget, options)
    if not options.decoder_only:
        # The scale of the latents is measured on scenes alone: textures are not what the base draws.
        scenes = read_recipe(options.data[0]).pictures
        normalise(autoencoder, pictures[: min(scenes, NORMALISE_PICTURES)])
    shown = jobs(read_recipe(options.data[0]))[:PSNR_PICTURES]
    psnr = by_style(shown, psnr_db(autoencoder, pictures[: len(shown)]))
    print("PSNR in dB on training pictures:", {name: round(db, 1) for name, db in psnr.items()})
    autoencoder.to(torch.float16, memory_format=torch.contiguous_format).save_pretrained(options.out)
    recipes = [str(read_recipe(folder)) for folder in options.data]
    name = "decoder_training" if options.decoder_only else "training"
    write_record(options.out, device, budget, name, seed=options.seed, data=recipes)
    print(f"saved {options.out} after {budget.step} steps")


if __name__ == "__main__":
    main()
