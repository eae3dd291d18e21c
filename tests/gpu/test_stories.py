"""Whatever runs a base outside the loop, on the device: searches, blends that learn, measures, answers, captions."""

from pathlib import Path

import pytest

from studio.library.library import Library
from studio.report import Quiet
from studio.runs.kinds import run_kinds
from studio.runs.run import create_run, execute
from tests.forwards import picture_story, text_story
from tests.gpu.conftest import DEVICE, PRECISIONS
from tests.support import draw_pictures, write_tiny_captioner

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_pictures(narrow_bases: dict[str, Path], tiny_judge: Path, tmp_path: Path, family: str, precision: str) -> None:
    picture_story(narrow_bases[family], tiny_judge, tmp_path, device=DEVICE, precision=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_texts(narrow_bases: dict[str, Path], tmp_path: Path, precision: str) -> None:
    text_story(narrow_bases["causal_lm"], tmp_path, device=DEVICE, precision=precision)


def test_captions(tmp_path: Path) -> None:
    data = draw_pictures(tmp_path / "data", 2, captions=False)
    model = write_tiny_captioner(tmp_path / "captioner")
    values = {"kind": "captions", "name": "says", "data": str(data), "model": str(model), "device": DEVICE}
    run = create_run(Library(tmp_path / "library"), run_kinds()["captions"].parse({**values, "beginning": "a red"}))
    assert execute(run, Quiet()) == data
    assert (data / "0.txt").read_text().startswith("a red")
