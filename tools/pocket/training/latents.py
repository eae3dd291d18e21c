"""The autoencoder's latents: brought to one scale, and computed once for all training pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from training.data import batches, read_recipe, to_model
from training.loop import autocast, file_hash
from training.models import DOWNSAMPLING, LATENT_CHANNELS, PICTURE_PX, SCALING_FACTOR

ENCODE_BATCH = 128
SIDE = PICTURE_PX // DOWNSAMPLING


@torch.no_grad()
def encode_means(autoencoder: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """The posterior means, float32 [n, 8, 32, 32] unscaled, of pictures uint8 [n, 256, 256, 3]."""
    device = autoencoder.device
    means = torch.empty(len(pictures), LATENT_CHANNELS, SIDE, SIDE, device=device)
    with autocast(device):
        for batch in batches(len(pictures), ENCODE_BATCH):
            images = to_model(pictures[batch].to(device)).to(memory_format=torch.channels_last)
            means[batch] = autoencoder.encode(images).latent_dist.mean.float()
    return means


@torch.no_grad()
def normalise(autoencoder: AutoencoderKL, pictures: torch.Tensor) -> None:
    """Shifts and scales each latent channel to mean 0 and deviation 1 / scaling factor, exactly.

    The two 1×1 convolutions beside the latents take the change up, so the pictures stay the same. With
    it the scaling factor that all Stable Diffusion 1.x tools assume is right, and no channel is louder
    than another for the denoiser.
    """
    means = encode_means(autoencoder, pictures)
    shift = means.mean(dim=(0, 2, 3))
    scale = means.std(dim=(0, 2, 3)) * SCALING_FACTOR
    encode, decode = autoencoder.quant_conv, autoencoder.post_quant_conv
    # The posterior's mean m becomes (m - shift) / scale, its log variance loses 2 log(scale).
    encode.bias[:LATENT_CHANNELS] -= shift
    encode.bias[:LATENT_CHANNELS] /= scale
    encode.weight[:LATENT_CHANNELS] /= scale[:, None, None, None]
    encode.bias[LATENT_CHANNELS:] -= 2 * scale.log()
    decode.bias += decode.weight[:, :, 0, 0] @ shift
    decode.weight *= scale[None, :, None, None]


def cached_latents(autoencoder: AutoencoderKL, weights: Path, folder: Path) -> torch.Tensor:
    """The scaled latents of a data folder, float16 [n, 8, 32, 32] on the autoencoder's device.

    They are kept beside the pictures in `latents.npy` and used again while `weights`, the autoencoder's
    file, stays the same.
    """
    stamp = {"autoencoder_sha256": file_hash(weights), "pictures": read_recipe(folder).pictures}
    stamp_path, latents_path = folder / "latents.json", folder / "latents.npy"
    if stamp_path.is_file() and json.loads(stamp_path.read_text()) == stamp:
        return torch.from_numpy(np.load(latents_path)).to(autoencoder.device)
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    latents = torch.empty(len(pictures), LATENT_CHANNELS, SIDE, SIDE, dtype=torch.float16, device=autoencoder.device)
    for batch in batches(len(pictures), 4096):
        chunk = torch.from_numpy(np.array(pictures[batch]))
        latents[batch] = (encode_means(autoencoder, chunk) * SCALING_FACTOR).half()
    np.save(latents_path, latents.cpu().numpy())
    stamp_path.write_text(json.dumps(stamp) + "\n")
    return latents
