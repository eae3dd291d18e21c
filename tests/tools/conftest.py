"""The pocket scripts' folder on the path, as running one of them puts it, and a fixture that runs one."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

POCKET = Path(__file__).parents[2] / "tools" / "pocket"
sys.path.insert(0, str(POCKET))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Return a function that runs one of the scripts with arguments, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(POCKET))

    def run(name: str, arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *arguments.split()])
        runpy.run_path(str(POCKET / name), run_name="__main__")

    return run
