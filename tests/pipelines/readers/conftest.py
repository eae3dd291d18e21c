"""Narrow bases with the shapes of Stable Diffusion 1.5 (four levels, two resnets each) and of SDXL."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipelines.bases import load_base, quiet_libraries
from pipelines.families import LoadedBase
from tests.conftest import _made_once


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


@pytest.fixture(scope="session")
def like_sd15_folder(shared_folder: Path, tiny_base: Path) -> Path:
    """The narrow base of SD 1.5's shape as a folder."""
    return _made_once(shared_folder / "like-sd15", write_like_sd15(tiny_base))


@pytest.fixture(scope="session")
def reader_bases(like_sd15_folder: Path, tiny_bases: dict[str, Path]) -> dict[str, LoadedBase]:
    """Both bases by family; tests leave them as they found them."""
    folders = {"sd1": like_sd15_folder, "sdxl": tiny_bases["sdxl"]}
    return {family: load_base(str(folder), device="cpu") for family, folder in folders.items()}
