"""The example that drives the app from Python does all that it says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.studio.app.conftest import RunningApp

_EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def test_the_example_trains_draws_compares_blends_and_chats(
    start_app: Callable[..., RunningApp],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(_EXAMPLES)
    import app_client

    app = start_app()
    files = app_client.main(app.url, tmp_path / "out", steps=1, sampling_steps=1, prefix="mine")
    assert app.library.names() == ["mine-blueprint", "mine-mix", "mine-watercolor"]
    assert [file.name for file in files[2:]] == ["grid.png", "grid.csv", "grid-means.csv", "grid.html"]
    assert all(file.is_file() for file in files)
    assert files[0].suffix == files[1].suffix == ".png"
    said = capsys.readouterr().out
    assert "mine-mix: " in said
    assert "layers, none left out: True" in said
    assert said.rstrip().endswith("red.")
