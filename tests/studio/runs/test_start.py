"""The start of a training: something at once, the seconds of each part, and the base's files asked for ahead."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from studio.cli.main import main
from studio.runs.start import read_ahead
from tests.studio.runs.test_processes import ENVIRONMENT, flags


def test_a_training_says_something_before_it_imports(tiny_language: Path, tmp_path: Path) -> None:
    # The first line comes while torch is not there yet: an import of it in this process is an error.
    blocked = "import sys; sys.modules['torch'] = None; from studio.cli.main import main; main()"
    given = {"base": tiny_language, "data": tmp_path, "name": "it", "device": "cpu", "library": tmp_path / "library"}
    for command in (["train"], ["text", "train"]):
        started = time.monotonic()
        answer = subprocess.run(
            [sys.executable, "-c", blocked, *command, *flags(given)],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.stdout == "Loading the libraries and the base …\n", answer.stderr
        assert "torch" in answer.stderr
        assert time.monotonic() - started < 60


def test_the_seconds_of_each_part_are_told(
    tiny_language: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    library = tmp_path / "library"
    given = {"base": tiny_language, "data": tmp_path / "rows.jsonl", "name": "it", "device": "cpu", "steps": 1}
    assert main(["text", "train", f"--library={library}", *flags(given)]) == 0
    first, libraries, base, *_ = capsys.readouterr().out.splitlines()
    assert first == "Loading the libraries and the base …"
    assert libraries.startswith("Libraries loaded in ")
    assert base.startswith("Base loaded in ")
    assert base in (library / "runs" / "it" / "log.txt").read_text()


def test_the_weights_that_will_be_read_are_asked_for_and_nothing_else(tiny_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    (folder / "unet").mkdir(parents=True)
    for name in ("unet/a.safetensors", "unet/a.fp16.safetensors", "unet/a.bin", "b-00001-of-00002.safetensors"):
        (folder / name).write_bytes(b"x")
    assert read_ahead(str(folder)) == ["b-00001-of-00002.safetensors", "a.safetensors"]
    assert len(read_ahead(str(tiny_base))) == 3
    for nothing in ("", "owner/model", "pocket", str(tmp_path / "no"), "a\0b"):
        assert read_ahead(nothing) == []
