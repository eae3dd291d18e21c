"""One arithmetic for a base's steps, whoever runs them: a base in bfloat16 shows on the CPU who takes another."""

from pathlib import Path

import pytest
import torch

from pipelines.bases import load_base
from tests.forwards import forecast_problems, picture_story, text_story
from trainers.precision import arithmetic_of


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_pictures_are_foreseen_in_either_format_in_any_order(
    tiny_bases: dict[str, Path], pictures: Path, tmp_path: Path, family: str
) -> None:
    parts = ("unet", "text_encoder", *(["text_encoder_2"] if family == "sdxl" else []))
    given = {"base": str(tiny_bases[family]), "data": str(pictures), "device": "cpu", "resolution_px": 64}
    for precision in ("bf16", "fp32", "bf16"):  # in one process, as the app's does one after another
        for trained in (parts, parts[:1]):
            plans = {part: {} for part in trained}
            assert not forecast_problems("pictures", tmp_path, **given, precision=precision, parts=plans)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_blends_searches_and_comparisons_in_bf16(
    tiny_bases: dict[str, Path], tiny_judge: Path, tmp_path: Path, family: str
) -> None:
    picture_story(tiny_bases[family], tiny_judge, tmp_path, device="cpu", precision="bf16")


def test_every_stage_on_texts_in_bf16(tiny_language: Path, tmp_path: Path) -> None:
    text_story(tiny_language, tmp_path, device="cpu", precision="bf16")


def test_the_arithmetic_follows_the_base_and_not_what_is_attached(tiny_base: Path) -> None:
    for precision, wanted in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        base = load_base(str(tiny_base), device="cpu", precision=precision)
        for parameter in base.parts["unet"].parameters():  # as a method does whose trained numbers are the base's own
            parameter.data = parameter.data.float()
        with arithmetic_of(base):
            assert torch.nn.functional.linear(torch.ones(2, 3), torch.ones(2, 3)).dtype == wanted
