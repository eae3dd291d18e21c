"""Every command that the studio proposes runs as it stands, with names that a shell would tear apart."""

import re
import shlex
from pathlib import Path

import pytest

from studio.cli.main import main
from studio.library.library import Library
from tests.support import draw_pictures

CAPTURE = pytest.CaptureFixture[str]
NAME = "it's 水墨; $HOME"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library that commands do not find by themselves."""
    monkeypatch.delenv("STUDIO_LIBRARY", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "my library"


def run_proposed(said: str, before: str) -> None:
    found = re.search(rf"{before}(studio .*)", said)
    assert found, said
    words = shlex.split(found[1])
    assert words[0] == "studio"
    assert main(words[1:]) == 0, found[1]


def test_a_trained_style_is_tried_by_the_line_that_is_printed(
    elsewhere: Path, tiny_base: Path, tmp_path: Path, capsys: CAPTURE
) -> None:
    draw_pictures(tmp_path / "pictures", 2)
    train = ["train", "--base", str(tiny_base), "--data", "pictures", "--name", NAME, "--steps", "1"]
    assert main([*train, "--judge", "none", "--library", str(elsewhere)]) == 0
    run_proposed(capsys.readouterr().out, "Try it: ")
    assert (tmp_path / "boat.png").is_file()
    assert main([*train, "--library", str(elsewhere)]) == 2
    run_proposed(capsys.readouterr().err, "remove it first: ")
    assert Library(elsewhere).names() == []


def test_a_trained_voice_is_tried_by_the_line_that_is_printed(
    elsewhere: Path, tiny_language: Path, tmp_path: Path, capsys: CAPTURE
) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "one two three"}\n' * 4)
    train = ["text", "train", "--base", str(tiny_language), "--data", "texts.jsonl", "--name", NAME, "--steps", "1"]
    assert main([*train, "--sample-max-new-tokens", "4", "--library", str(elsewhere)]) == 0
    run_proposed(capsys.readouterr().out, "Try it: ")


def test_a_grid_is_voted_on_by_the_line_that_is_printed(
    library: Library,
    tiny_base: Path,
    tiny_judge: Path,
    tmp_path: Path,
    capsys: CAPTURE,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = ["--base", str(tiny_base), "--device", "cpu", "--steps", "1", "--judge", str(tiny_judge)]
    asked = [
        "compare",
        "--prompt",
        "x",
        "--mix",
        "one:1",
        "--weights",
        "0,1",
        "--out",
        str(tmp_path / "it's a grid.png"),
    ]
    assert main([*asked, *at]) == 0
    monkeypatch.setattr("builtins.input", lambda _: "q")
    run_proposed(capsys.readouterr().out, "Vote blindly on it: ")


def test_the_apps_command_and_script_of_a_run_name_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.runs.views import views_of

    monkeypatch.delenv("STUDIO_LIBRARY", raising=False)
    views = views_of({"data": "my pictures", "name": NAME}, Library(tmp_path / "my library"))
    words = ["studio", "train", "--data=my pictures", f"--name={NAME}", "--library", str(tmp_path / "my library")]
    assert shlex.split(views["command"]) == words
    assert f"open_library({str(tmp_path / 'my library')!r})" in views["python"]
    assert "open_library(None)" in views_of({"data": "d", "name": "n"})["python"]


def test_the_apps_command_line_names_library_and_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.app.blend.form import command_line

    monkeypatch.delenv("STUDIO_LIBRARY", raising=False)
    recipe = {"inputs": [{"adapter": NAME, "weight": 0.5}, {"adapter": "b", "weight": 1.0}]}
    words = shlex.split(command_line(recipe, "my mix", Library(tmp_path / "my library"), "/bases/x"))
    assert words[:4] == ["studio", "blend", f"{NAME}:0.5", "b:1"]
    assert words[-6:] == ["--name", "my mix", "--base", "/bases/x", "--library", str(tmp_path / "my library")]
