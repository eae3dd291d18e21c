"""One thread, no network, a toy base and a toy judge made once, and a folder of drawn pictures."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # also in the processes that tests start
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.pop("STUDIO_LIBRARY", None)

import pytest
import torch
from hypothesis import HealthCheck, settings

from pipelines.bases import load_base, load_text_base, quiet_libraries
from pipelines.families import Family, LoadedBase, TextBase, families
from tests.support import draw_pictures, write_tiny_judge

torch.set_num_threads(1)
settings.register_profile(
    "studio",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("studio")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def stay_here(this: socket.socket, address: Any) -> None:
        if this.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach the network: {address}")
        connect(this, address)

    monkeypatch.setattr(socket.socket, "connect", stay_here)


@pytest.fixture(autouse=True)
def _own_data_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))


def _made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder once for all worker processes."""
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all worker processes of one test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def tiny_bases(shared_folder: Path) -> dict[str, Path]:
    """Folders with a random toy base of every family; read only."""

    def write(family: Family) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            with quiet_libraries():
                family.tiny(folder)

        return make

    return {name: _made_once(shared_folder / f"tiny-{name}", write(family)) for name, family in families().items()}


@pytest.fixture(scope="session")
def tiny_base(tiny_bases: dict[str, Path]) -> Path:
    """The toy base of the family that the pocket base belongs to."""
    return tiny_bases["sd1"]


@pytest.fixture(scope="session")
def tiny_language(tiny_bases: dict[str, Path]) -> Path:
    """The toy base of the family that the pocket language model belongs to."""
    return tiny_bases["causal_lm"]


@pytest.fixture(scope="session")
def shared_text_base(tiny_language: Path) -> TextBase:
    """The toy language model in memory, shared; every test must leave it as it found it."""
    return load_text_base(str(tiny_language), device="cpu")


@pytest.fixture(scope="session")
def tiny_judge(shared_folder: Path) -> Path:
    """A folder with a random toy CLIPModel; read only."""
    return _made_once(shared_folder / "tiny-judge", write_tiny_judge)


@pytest.fixture(scope="session")
def shared_base(tiny_base: Path) -> LoadedBase:
    """The toy base in memory, shared; every test must leave it as it found it."""
    return load_base(str(tiny_base), device="cpu")


@pytest.fixture
def base(shared_base: LoadedBase) -> Iterator[LoadedBase]:
    """The shared toy base; a test that changes one of its modules or bits fails."""
    with _untouched(shared_base):
        yield shared_base


@pytest.fixture
def text_base(shared_text_base: TextBase) -> Iterator[TextBase]:
    """The shared toy language model; a test that changes one of its modules or bits fails."""
    with _untouched(shared_text_base):
        yield shared_text_base


@contextlib.contextmanager
def _untouched(shared_base: LoadedBase) -> Iterator[None]:
    before = {
        part: ({k: id(m) for k, m in module.named_modules()}, {k: v.clone() for k, v in module.state_dict().items()})
        for part, module in shared_base.parts.items()
    }
    yield
    for part, (modules, state) in before.items():
        module = shared_base.parts[part]
        assert {k: id(m) for k, m in module.named_modules()} == modules, f"{part}: other module objects"
        assert list(module.state_dict()) == list(state)
        assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items()), f"{part}: other bits"
        assert not any(parameter.requires_grad for parameter in module.parameters())


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of five drawn pictures with captions."""
    return draw_pictures(tmp_path / "pictures", 5)
