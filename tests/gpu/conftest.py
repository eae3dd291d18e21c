"""Tests that need a GPU: `make gpu-tests`. The head of the log says on what they ran.

STUDIO_GPU_TEST_DEVICE=cpu runs the same tests on a machine without one, which is how they are written.
"""

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.bases import load_base
from pipelines.families import LoadedBase
from tests.gpu.narrow import write_narrow
from tests.support import draw_pictures

DEVICE = os.environ.get("STUDIO_GPU_TEST_DEVICE", "cuda")
PRECISIONS = ("bf16", "fp16", "fp32")
FAMILIES = ("sd1", "sdxl", "causal_lm")
LEFT_OUT = () if importlib.util.find_spec("bitsandbytes") is not None else ("qlora",)
"""Methods that cannot run on this machine; the head of the log names them."""


def pytest_report_header(config: pytest.Config) -> list[str]:
    return _head()


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.get_verbosity() < 0:  # with -q pytest shows no header
        print("\n".join(_head()))


def _head() -> list[str]:
    there = DEVICE != "cpu" and torch.cuda.is_available()
    card = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}" if there else DEVICE
    names = ("torch", "diffusers", "transformers", "peft", "bitsandbytes")
    left_out = f"; left out, because bitsandbytes is not here: {', '.join(LEFT_OUT)}" if LEFT_OUT else ""
    return [
        f"gpu tests: {datetime.now(UTC).isoformat(timespec='seconds')} on {card}",
        f"gpu tests: {', '.join(f'{name} {_version(name)}' for name in names)}{left_out}",
        f"gpu tests: precisions {', '.join(PRECISIONS)}",
    ]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


@pytest.fixture(scope="session", autouse=True)
def _a_device() -> None:
    if DEVICE != "cpu" and not torch.cuda.is_available():
        pytest.exit("No CUDA device is here, so no test for GPUs can run.", returncode=1)


@pytest.fixture(scope="session")
def narrow_bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a narrow base of every family; read only."""
    folder = tmp_path_factory.mktemp("narrow")
    return {family: write_narrow(family, folder / family) for family in FAMILIES}


@pytest.fixture(scope="session")
def narrow_base(narrow_bases: dict[str, Path]) -> Iterator[Callable[[str, str], LoadedBase]]:
    """(family, precision) -> a base on the device; shared, so that a test leaves it as it found it."""
    loaded: dict[tuple[str, str], LoadedBase] = {}

    def one(family: str, precision: str) -> LoadedBase:
        if (family, precision) not in loaded:
            loaded[family, precision] = load_base(str(narrow_bases[family]), device=DEVICE, precision=precision)
        return loaded[family, precision]

    yield one
    loaded.clear()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three drawn pictures with captions."""
    return draw_pictures(tmp_path_factory.mktemp("drawn"), 3)


def parts_of(method: Any, base: LoadedBase) -> list[str]:
    """Return the parts of a base that a method fits."""
    return [part for part in base.parts if method.fits(part)]
