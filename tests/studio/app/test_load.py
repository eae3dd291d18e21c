"""The app under load, a small version of what ``benchmarks/app_checks.py`` counts."""

from collections.abc import Iterator

import pytest

from tests.app_checking import load
from tests.studio.app.conftest import RunningApp

CLIENTS, CANCELS = 5, 10


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app on an empty library, whose runs end with the tests."""
    app = RunningApp(tmp_path_factory.mktemp("load") / "library").start()
    yield app
    app.close()
    app.end_runs()


@pytest.fixture(scope="module")
def serial(app: RunningApp) -> dict[int, str]:
    """Seed -> hash of the picture that it gives alone."""
    return {seed: load.draw(app, seed) for seed in range(CLIENTS)}


def test_clients_at_once_cancel_storms_and_a_killed_process_mix_nothing_up(
    app: RunningApp, serial: dict[int, str]
) -> None:
    assert len(set(serial.values())) == CLIENTS
    rows = dict(load.drawing_rows(app, CANCELS, serial))
    right = f"{CLIENTS} pictures of which 0 not their own, 0 told why not, 0 errors without a sentence, 0 hung"
    assert rows[f"{CLIENTS} clients draw at once"] == right
    assert rows[f"{CANCELS} drawings begun and taken back"] == "0 hung, 0 refused"
    assert rows["a picture after that is the same as before"] == "yes"
    killed = rows[f"{CLIENTS} clients draw, the inference process is killed"]
    assert " of which 0 not their own" in killed
    assert "0 errors without a sentence, 0 hung" in killed
    assert rows["a picture after the kill is the same as before"] == "yes"


def test_killed_workers_and_a_killed_app_lose_no_run(app: RunningApp, serial: dict[int, str]) -> None:
    rows = dict(load.run_rows_under_load(app, serial))
    assert rows["a training worker is killed"].endswith(("interrupted", "failed"))
    restarted = rows[f"{CLIENTS} clients draw, the app is killed and started again"]
    assert " of which 0 not their own" in restarted
    assert restarted.endswith("0 hung")
    assert rows["runs in the queue meanwhile"] == "4, of which 0 lost"
    assert rows["a picture after the restart is the same as before"] == "yes"
