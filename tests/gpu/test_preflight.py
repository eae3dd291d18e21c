"""Preflights as the app and a run make them: the first step on the device, in every precision."""

from pathlib import Path

import pytest

from tests.forwards import preflight_problems, rows_for
from tests.gpu.conftest import DEVICE, PRECISIONS

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("precision", [*PRECISIONS, "auto"])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_run_on_pictures_is_foreseen(
    narrow_bases: dict[str, Path], drawn: Path, tmp_path: Path, family: str, precision: str
) -> None:
    parts = ("unet", "text_encoder", *(["text_encoder_2"] if family == "sdxl" else []))
    given = {"base": str(narrow_bases[family]), "data": str(drawn), "device": DEVICE, "precision": precision}
    assert not preflight_problems("images", tmp_path, **given, parts={part: {} for part in parts})


@pytest.mark.parametrize("precision", [*PRECISIONS, "auto"])
def test_a_run_on_texts_is_foreseen(narrow_bases: dict[str, Path], tmp_path: Path, precision: str) -> None:
    given = {"base": str(narrow_bases["causal_lm"]), "data": rows_for("sft", tmp_path), "device": DEVICE}
    assert not preflight_problems("text", tmp_path, **given, precision=precision)
