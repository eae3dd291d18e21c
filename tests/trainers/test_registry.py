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
import studio.cli.commands
import trainers.methods
from trainers.errors import UserError, raise_problems
from trainers.registry import discover, find
from trainers.wording import count_of, listed


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
        (studio.cli.commands, "COMMAND"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_record_is_called_as_its_file(package: ModuleType, record: str) -> None:
    folder = Path(str(package.__file__)).parent
    files = {path.stem for path in folder.glob("*.py") if not path.name.startswith("_")}
    assert set(discover(package, record)) == files


def test_long_lists_are_cut_and_counted_and_advice_is_not() -> None:
    assert [count_of(number, "step") for number in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(13))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 … and 3 more"
    with pytest.raises(UserError) as caught:
        raise_problems("It failed:", [f"problem {number % 40}" for number in range(80)], "Do this.")
    lines = str(caught.value).splitlines()
    assert lines == ["It failed:", *(f"  - problem {n}" for n in range(10)), "  … and 30 more", "  Do this."]
    raise_problems("It failed:", [], "Do this.")
    known = {f"name{number}": number for number in range(99)}
    with pytest.raises(UserError, match=r"^Thing 'nam3' is unknown. Did you mean .* … and 89 more. Look.$"):
        find("Thing", "nam3", known, "Look.")
    assert find("Thing", "name3", known) == 3
