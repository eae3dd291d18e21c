"""A file dropped into a registry is a choice of its setting: on the command line, in the form and in a config."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import trainers.data.caption_tables
import trainers.loss_weightings
import trainers.lr_schedulers
import trainers.optimizers
from studio.cli.main import main
from studio.operations.catalogue import catalogue
from studio.settings_schema import shapes_of
from tests.dropped import dropped
from tests.support import draw_pictures
from trainers.config import RunConfig, parse_config
from trainers.data.caption_tables import caption_tables
from trainers.data.captions import captions_of, write_captions
from trainers.errors import UserError
from trainers.loss_weightings import find_loss_weighting, loss_weightings
from trainers.lr_schedulers import lr_schedulers
from trainers.optimizers import optimizers

VALUES = {"data": "pictures", "name": "x"}
WEIGHTING = """
from pydantic import Field
from trainers.loss_weightings import LossWeighting, WeightingSettings

class Settings(WeightingSettings):
    stripes: int = Field(3, ge=1, description="How many stripes.")

LOSS_WEIGHTING = LossWeighting("zebra", "Zebra", "nobody", lambda snr, prediction, own: snr * 0 + own.stripes, Settings,
                               lacks={"flow": "zebras do not swim."})
"""
FILES: dict[str, tuple[ModuleType, Callable[[], Any], str]] = {
    "optimizer": (
        trainers.optimizers,
        optimizers,
        "import dataclasses\nfrom trainers.optimizers.sgd import OPTIMIZER as SGD\n"
        "OPTIMIZER = dataclasses.replace(SGD, name='zebra')\n",
    ),
    "lr_scheduler": (
        trainers.lr_schedulers,
        lr_schedulers,
        "from trainers.lr_schedulers import LrScheduler\n"
        "LR_SCHEDULER = LrScheduler('zebra', 'Zebra', lambda t: 1 - t)\n",
    ),
    "loss_weighting": (trainers.loss_weightings, loss_weightings, WEIGHTING),
}


@pytest.fixture(params=FILES)
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A setting whose registry has one more file, ``zebra``."""
    package, records, text = FILES[request.param]
    with dropped(package, records, tmp_path, text):
        yield request.param


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


def test_a_dropped_weightings_settings_are_checked_written_out_and_in_the_catalogue(tmp_path: Path) -> None:
    package, records, text = FILES["loss_weighting"]
    with dropped(package, records, tmp_path, text):
        chosen = {**VALUES, "loss_weighting": "zebra"}
        assert parse_config(chosen).loss_weighting_settings == {"stripes": 3}
        striped = {**chosen, "loss_weighting_settings": {"stripes": "4"}}
        assert parse_config(striped).loss_weighting_settings == {"stripes": 4}
        with pytest.raises(UserError, match=r"loss_weighting_settings\.stripes = 0"):
            parse_config({**chosen, "loss_weighting_settings": {"stripes": 0}})
        with pytest.raises(UserError, match=r"loss_weighting_settings\.spots"):
            parse_config({**chosen, "loss_weighting_settings": {"spots": 1}})
        with pytest.raises(UserError, match="short for loss_weighting min_snr"):
            parse_config({**chosen, "snr_gamma": 5})
        with pytest.raises(UserError, match=r"'zebra' does not suit .* 'flow': zebras do not swim\."):
            find_loss_weighting("zebra").check("flow")
        (found,) = [one for one in catalogue()["loss_weightings"] if one["name"] == "zebra"]
        assert [shape["name"] for shape in found["fields"]] == ["stripes"]


TABS = """
from trainers.data.caption_tables import CaptionTable

def read(path, text):
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, caption = line.partition("\\t")
        yield number, {"file_name": name, "text": caption}

def write(rows):
    return "".join(f"{row['file_name']}\\t{row['text']}\\n" for row in rows)

CAPTION_TABLE = CaptionTable("zebra", lambda name: name == "captions.tsv", read, write)
"""


def test_a_dropped_kind_of_table_is_read_and_written(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    data = draw_pictures(tmp_path / "data", 3, captions=False)
    (data / "captions.tsv").write_text("0.png\ta boat\n1.png\ta house\n")
    with dropped(trainers.data.caption_tables, caption_tables, files, TABS):
        found = captions_of(data)
        assert [found[f"{n}.png"].text for n in range(3)] == ["a boat", "a house", ""]
        assert found["0.png"].source == "captions.tsv"
        write_captions(data, {"1.png": "a mill", "2.png": "a tree"})
        assert (data / "captions.tsv").read_text() == "0.png\ta boat\n1.png\ta mill\n2.png\ta tree\n"
    assert captions_of(data)["0.png"].text == ""
