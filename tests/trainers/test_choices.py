"""A file dropped into a registry is a choice of its setting: on the command line, in the form and in a config."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainers.lr_schedulers
import trainers.optimizers
from studio.cli.main import main
from studio.settings_schema import shapes_of
from trainers.config import RunConfig, parse_config
from trainers.errors import UserError
from trainers.lr_schedulers import lr_schedulers
from trainers.optimizers import optimizers

VALUES = {"data": "pictures", "name": "x"}
FILES = {
    "optimiser": (
        trainers.optimizers,
        "import dataclasses\nfrom trainers.optimizers.sgd import OPTIMIZER as SGD\n"
        "OPTIMIZER = dataclasses.replace(SGD, name='zebra')\n",
    ),
    "schedule": (
        trainers.lr_schedulers,
        "from trainers.lr_schedulers import LrScheduler\n"
        "LR_SCHEDULER = LrScheduler('zebra', 'Zebra', lambda t: 1 - t)\n",
    ),
}


@pytest.fixture(params=FILES)
def setting(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A setting whose registry has one more file, ``zebra``."""
    package, text = FILES[request.param]
    (tmp_path / "zebra.py").write_text(text)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    optimizers.cache_clear()
    lr_schedulers.cache_clear()
    yield request.param
    monkeypatch.undo()
    optimizers.cache_clear()
    lr_schedulers.cache_clear()


def test_a_dropped_file_is_a_choice_everywhere(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert getattr(parse_config({**VALUES, setting: "zebra"}), setting) == "zebra"
    (shape,) = [shape for shape in shapes_of(RunConfig) if shape["name"] == setting]
    assert "zebra" in shape["choices"]
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "zebra" in capsys.readouterr().out


@pytest.mark.parametrize("setting", FILES)
def test_a_name_that_is_not_there_is_told_with_those_that_are(setting: str) -> None:
    with pytest.raises(UserError, match=rf"{setting} = 'zebra': '\w+'(, '\w+')* or '\w+' is expected"):
        parse_config({**VALUES, setting: "zebra"})
