"""Trains the pocket base's UNet and text encoder together, from scratch, on drawn pictures.

    python tools/pocket/train_base.py --data pocket-data/base --minutes 5 --compile --out pipelines/pocket/base

needs the autoencoder in `<out>/vae` (train_autoencoder.py) and completes the folder to an ordinary
StableDiffusionPipeline in fp16. `--tiny` is a thin model for tests.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from training.captions import base_caption
from training.data import jobs, read_recipe
from training.graph import recorded
from training.latents import cached_latents
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
from training.models import POCKET, TINY, build_scheduler, build_text_encoder, build_unet
from training.saving import save_base
from training.tokens import learn_tokenizer, tokenise
from transformers import CLIPTextModel, CLIPTokenizer

PEAK_RATE = 6e-4
EMPTY_SHARE = 0.1
CAPTIONS_PER_PICTURE = 4
SIGNAL_CAP = 5.0
# The weight that pure noise keeps: it decides the ground and the layout, which no later step changes.
WEIGHT_FLOOR = 0.15


class Denoising(nn.Module):
    """Text encoder and UNet with their loss as one module."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder
        cumulative = build_scheduler().alphas_cumprod
        signal = cumulative / (1 - cumulative).clamp(min=1e-8)
        weight = signal.clamp(max=SIGNAL_CAP) / (signal + 1) + WEIGHT_FLOOR
        self.register_buffer("cumulative", cumulative)
        self.register_buffer("weight", weight / weight.mean())

    def forward(
        self, latents: torch.Tensor, noise: torch.Tensor, steps: torch.Tensor, tokens: torch.Tensor
    ) -> torch.Tensor:
        """The weighted squared error of v for latents [b, 8, 32, 32], steps [b], tokens [b, 77].

        Weight min(SNR, 5) / (SNR + 1) (Hang et al. 2023, arXiv 2303.09556) and a floor.
        """
        alpha = self.cumulative[steps].sqrt()[:, None, None, None]
        sigma = (1 - self.cumulative[steps]).sqrt()[:, None, None, None]
        states = self.text_encoder(tokens).last_hidden_state
        noisy = alpha * latents + sigma * noise
        velocity = alpha * noise - sigma * latents
        predicted = self.unet(noisy, steps, states).sample.float()
        error = (predicted - velocity).square().mean(dim=(1, 2, 3))
        return (error * self.weight[steps]).mean()


def read_captions(folders: list[Path], seed: int) -> list[list[str]]:
    """Several captions for each picture of the folders, in order."""
    rng = random.Random(seed)
    return [
        [base_caption(scene, style, rng) for _ in range(CAPTIONS_PER_PICTURE)]
        for folder in folders
        for scene, style, _ in jobs(read_recipe(folder))
    ]


def caption_tokens(tokenizer: CLIPTokenizer, captions: list[list[str]]) -> torch.Tensor:
    """Token ids, int16 [pictures, captions per picture, 77]."""
    flat = [text for texts in captions for text in texts]
    tokens = tokenise(tokenizer, flat)
    return torch.from_numpy(tokens.reshape(len(captions), CAPTIONS_PER_PICTURE, -1))


def spread_steps(batch: int, device: torch.device) -> torch.Tensor:
    """One diffusion step per picture, 0..999: one from each of `batch` equal parts of the schedule."""
    places = (torch.arange(batch, device=device) + torch.rand(batch, device=device)) / batch
    return (places * 1000).long().clamp(max=999)


def train(
    model: Denoising,
    latents: torch.Tensor,
    tokens: torch.Tensor,
    empty: torch.Tensor,
    budget: Budget,
    batch: int,
    graph: bool,
    compiled: bool,
) -> None:
    """Trains in place; latents fp16 [n, 8, 32, 32], tokens [n, captions, 77], empty [77]."""
    device = latents.device
    parameters = list(model.parameters())
    optimizer = make_optimizer(parameters, decay=0.01)
    average, log = Average(parameters), Log(budget)
    loss_of = torch.compile(model, dynamic=False) if compiled else model

    def step() -> dict[str, torch.Tensor]:
        chosen = torch.randint(len(latents), (batch,), device=device)
        which = torch.randint(tokens.shape[1], (batch,), device=device)
        prompt = tokens[chosen, which].long()
        prompt = torch.where(torch.rand(batch, 1, device=device) < EMPTY_SHARE, empty, prompt)
        clean = latents[chosen].float()
        with autocast(device):
            loss = loss_of(clean, torch.randn_like(clean), spread_steps(batch, device), prompt)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return {"loss": loss, "gradient": norm}

    set_rate(optimizer, PEAK_RATE, 0)
    run = recorded(step, device, graph)
    for progress in budget:
        set_rate(optimizer, PEAK_RATE, progress)
        figures = run()
        average.update()
        log.add(**figures)
    log.flush()
    average.apply()


def load_latents(folders: list[Path], vae_folder: Path, device: torch.device) -> torch.Tensor:
    """The latents of all folders, float16 [n, 8, 32, 32]."""
    autoencoder = AutoencoderKL.from_pretrained(vae_folder, torch_dtype=torch.float32).to(device)
    weights = vae_folder / "diffusion_pytorch_model.safetensors"
    return torch.cat([cached_latents(autoencoder, weights, folder) for folder in folders])


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data folders")
    parser.add_argument("--out", type=Path, required=True, help="the pipeline's folder")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, help="a fixed number of steps instead of minutes")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device")
    parser.add_argument("--compile", action="store_true", help="compile for speed, in a minute")
    parser.add_argument("--no-graph", action="store_true", help="launch every kernel by itself")
    parser.add_argument("--tiny", action="store_true", help="a thin model, for tests")
    return parser.parse_args()


def main() -> None:
    """Encodes, trains, saves."""
    options = parse()
    seed_everything(options.seed)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    device = pick_device(options.device)
    captions = read_captions(options.data, options.seed)
    tokenizer = learn_tokenizer(np.concatenate(captions).tolist())
    tokens = caption_tokens(tokenizer, captions).to(device)
    empty = torch.from_numpy(tokenise(tokenizer, [""])[0]).long().to(device)
    latents = load_latents(options.data, options.out / "vae", device)
    print(f"{len(latents)} pictures, {len(tokenizer)} tokens, latents {latents.float().std():.3f}")
    sizes = TINY if options.tiny else POCKET
    unet = build_unet(sizes).to(device, memory_format=torch.channels_last)
    text_encoder = build_text_encoder(sizes, tokenizer).to(device)
    model = Denoising(unet, text_encoder).to(device)
    budget = Budget(options.minutes, options.steps)
    train(model, latents, tokens, empty, budget, options.batch, not options.no_graph, options.compile)
    save_base(options.out, unet, text_encoder, tokenizer)
    recipes = [str(read_recipe(folder)) for folder in options.data]
    write_record(options.out, device, budget, seed=options.seed, data=recipes)
    print(f"saved {options.out} after {budget.step} steps")


if __name__ == "__main__":
    main()
