"""A full disk is one sentence wherever it strikes; a bug keeps its traceback; a reader may go away."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.cli.main import main
from studio.library.library import Library
from tests.support import content_of

ROOT = Path(__file__).parents[3]
CAPTURE = pytest.CaptureFixture[str]


@contextlib.contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """Let this process write no larger files, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size_bytes", [100, 1_200, 9_000, 60_000])
def test_a_full_disk_is_one_sentence_wherever_it_strikes_and_training_can_go_on(
    library: Library, train: list[str], capsys: CAPTURE, size_bytes: int
) -> None:
    before = content_of(library.adapters_folder)
    with room_for(size_bytes):
        assert main([*train, "--sample-prompt", "x", "--judge", "none"]) == 2
    said = capsys.readouterr().err
    assert "No room left to write" in said
    assert "Traceback" not in said
    assert content_of(library.adapters_folder) == before
    assert not list(library.folder.rglob(".tmp-*"))
    started = (library.runs_folder / "new").exists()
    assert main(["train", "--resume", "new"] if started else [*train, "--judge", "none"]) == 0
    assert "new" in library.names()


def test_a_full_disk_keeps_the_old_picture(library: Library, tiny_base: Path, tmp_path: Path, capsys: CAPTURE) -> None:
    draw = ["generate", "x", "--base", str(tiny_base), "--steps", "1", "--out", str(tmp_path / "a.png")]
    assert main(draw) == 0
    before = content_of(tmp_path)
    with room_for(500):
        assert main([*draw, "--seed", "2"]) == 2
    assert "No room left to write" in capsys.readouterr().err
    assert content_of(tmp_path) == before


def test_a_bug_keeps_its_traceback_and_exits_with_one(tmp_path: Path) -> None:
    script = (
        "import sys, studio.cli.commands.list as command; "
        "command.print = lambda *_: 1 / 0; "
        "from studio.cli.main import main; sys.exit(main(['list']))"
    )
    environment = {**os.environ, "STUDIO_LIBRARY": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "ZeroDivisionError" in result.stderr


def test_a_reader_that_goes_away_is_no_error(library: Library) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "studio", "list"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


def test_looking_at_the_library_loads_no_model_library(tmp_path: Path) -> None:
    script = (
        "import sys; from studio.cli.main import main; main(['list', '--library', sys.argv[1]]); "
        "print(sorted({'peft', 'transformers', 'diffusers', 'accelerate'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "none")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
