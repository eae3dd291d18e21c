"""One arithmetic for a base's steps, whoever runs them: a base in bfloat16 shows on the CPU who takes another."""

import shutil
from pathlib import Path

import pytest
import torch

from pipelines.bases import load_base
from tests.forwards import picture_story, preflight_problems, text_story
from trainers.precision import arithmetic_of, repeatable


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_pictures_are_foreseen_in_either_format_in_any_order(
    tiny_bases: dict[str, Path], pictures: Path, tmp_path: Path, family: str
) -> None:
    parts = ("unet", "text_encoder", *(["text_encoder_2"] if family == "sdxl" else []))
    given = {"base": str(tiny_bases[family]), "data": str(pictures), "device": "cpu", "resolution_px": 64}
    for precision in ("bf16", "fp32", "bf16"):  # in one process, as the app's does one after another
        for trained in (parts, parts[:1]):
            plans = {part: {} for part in trained}
            assert not preflight_problems("images", tmp_path, **given, precision=precision, parts=plans)


def test_a_learned_word_may_stand_in_any_caption(tiny_base: Path, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "captioned"
    shutil.copytree(pictures, folder)
    captions = sorted(folder.glob("*.txt"))
    captions[-1].write_text("a <new> boat")
    given = {"base": str(tiny_base), "data": str(folder), "device": "cpu", "resolution_px": 64, "trigger": "zqx"}
    parts = {"text_encoder": {"method": "textual_inversion"}}
    assert not preflight_problems("images", tmp_path, **given, parts=parts)
    captions[-1].write_text("a boat")
    assert any(
        "No caption holds <new>" in said for said in preflight_problems("images", tmp_path, **given, parts=parts)
    )


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


@pytest.mark.parametrize(("device", "wanted"), [("cpu", False), ("cuda", True)])
def test_a_gpu_is_asked_to_repeat_itself_for_a_step_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, device: str, wanted: bool
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    asked: list[bool] = []

    def step() -> None:
        with repeatable(torch.device(device)):
            asked.append(torch.are_deterministic_algorithms_enabled())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step()
    assert asked == [wanted]
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
