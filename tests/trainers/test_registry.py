"""A folder is its own registry: a new file is found with no edit elsewhere, and a wrong one is named."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pipelines.blends
import pipelines.families
import studio.commands
import trainers.methods
from trainers.registry import discover


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A copy of the methods' folder under another name, into which a test can drop files."""
    folder = tmp_path / "methods_of_a_test"
    shutil.copytree(Path(trainers.methods.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("methods_of_a_test")
    for name in [name for name in sys.modules if name.startswith("methods_of_a_test")]:
        del sys.modules[name]


def drop(package: ModuleType, name: str, text: str) -> None:
    (Path(str(package.__file__)).parent / name).write_text(text)
    importlib.invalidate_caches()


def test_a_method_dropped_into_the_folder_is_found(package: ModuleType) -> None:
    before = set(discover(package, "METHOD"))
    text = "import dataclasses\nfrom trainers.methods.lora import METHOD as LORA\n"
    drop(package, "zebra.py", text + 'METHOD = dataclasses.replace(LORA, name="zebra")\n')
    drop(package, "_helper.py", "raise AssertionError('helpers are not records')\n")
    assert set(discover(package, "METHOD")) == {*before, "zebra"}


def test_a_file_without_a_record_is_named(package: ModuleType) -> None:
    drop(package, "hollow.py", "OTHER = 1\n")
    with pytest.raises(RuntimeError, match=r"methods_of_a_test\.hollow holds no METHOD"):
        discover(package, "METHOD")


def test_a_repeated_name_is_refused(package: ModuleType) -> None:
    drop(package, "twin.py", "from trainers.methods.lora import METHOD\n")
    with pytest.raises(RuntimeError, match=r"methods_of_a_test\.twin repeats the name 'lora'"):
        discover(package, "METHOD")


@pytest.mark.parametrize(
    ("package", "record"),
    [
        (trainers.methods, "METHOD"),
        (pipelines.blends, "BLEND"),
        (pipelines.families, "FAMILY"),
        (studio.commands, "COMMAND"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_record_is_called_as_its_file(package: ModuleType, record: str) -> None:
    folder = Path(str(package.__file__)).parent
    files = {path.stem for path in folder.glob("*.py") if not path.name.startswith("_")}
    assert set(discover(package, record)) == files
