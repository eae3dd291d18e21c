"""Narrow bases with the shapes of Stable Diffusion 1.5 and of SDXL."""

from pathlib import Path

import pytest

from pipelines.bases import load_base
from pipelines.families import LoadedBase
from tests.conftest import _made_once
from tests.pipelines.readers.bases import write_like_sd15


@pytest.fixture(scope="session")
def like_sd15_folder(shared_folder: Path, tiny_base: Path) -> Path:
    """The narrow base of SD 1.5's shape as a folder."""
    return _made_once(shared_folder / "like-sd15", write_like_sd15(tiny_base))


@pytest.fixture(scope="session")
def reader_bases(like_sd15_folder: Path, tiny_bases: dict[str, Path]) -> dict[str, LoadedBase]:
    """Both bases by family; tests leave them as they found them."""
    folders = {"sd1": like_sd15_folder, "sdxl": tiny_bases["sdxl"]}
    return {family: load_base(str(folder), device="cpu") for family, folder in folders.items()}
