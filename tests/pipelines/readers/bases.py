"""A narrow base with the shape of Stable Diffusion 1.5: four levels, two resnets each."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from pipelines.bases import quiet_libraries


def write_like_sd15(tiny: Path) -> Callable[[Path], None]:
    """Return what makes a folder with the toy base's text encoder and a UNet of SD 1.5's blocks, 8 channels wide."""

    def make(folder: Path) -> None:
        from diffusers import UNet2DConditionModel

        shutil.copytree(tiny, folder, dirs_exist_ok=True)
        (folder / "made").unlink(missing_ok=True)
        width = json.loads((tiny / "unet/config.json").read_text())["cross_attention_dim"]
        with torch.random.fork_rng(), quiet_libraries():
            torch.manual_seed(0)
            unet = UNet2DConditionModel(
                sample_size=8,
                block_out_channels=(8, 8, 8, 8),
                layers_per_block=2,
                cross_attention_dim=width,
                attention_head_dim=2,
                norm_num_groups=4,
            )
            shutil.rmtree(folder / "unet")
            unet.save_pretrained(folder / "unet")

    return make
