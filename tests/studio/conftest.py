"""A library with adapters, and a training command, for tests of the command line."""

from pathlib import Path

import pytest

from pipelines.families import LoadedBase
from studio.library.library import Library
from tests.support import random_adapter
from trainers.adapter import write_adapter


@pytest.fixture
def library(base: LoadedBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library with two adapters of the toy base and one of another base."""
    library = Library(tmp_path / "library")
    foreign = random_adapter(base, "foreign")
    other = foreign.card.base.model_copy(update={"name": "sdxl-base", "family": "sdxl"})
    foreign = type(foreign)(foreign.card.model_copy(update={"base": other}), foreign.parts, {})
    for name, adapter in {
        "one": random_adapter(base, "one"),
        "two": random_adapter(base, "two"),
        "foreign": foreign,
    }.items():
        write_adapter(library.adapters_folder / name, adapter)
    monkeypatch.setenv("STUDIO_LIBRARY", str(library.folder))
    monkeypatch.chdir(tmp_path)
    return library


@pytest.fixture
def train(tiny_base: Path, pictures: Path) -> list[str]:
    return [
        "train",
        "--base",
        str(tiny_base),
        "--device",
        "cpu",
        "--data",
        str(pictures),
        "--name",
        "new",
        "--steps",
        "1",
    ]
