"""Close, reload, open twice, restart the app, kill a worker: nothing is lost, and the page says the truth."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from tests.app_checking.truth import situations
from tests.studio.app.conftest import RunningApp


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app on an empty library, whose runs end with the tests."""
    app = RunningApp(tmp_path_factory.mktemp("truth") / "library").start()
    yield app
    app.close()
    app.end_runs()


def test_whatever_ends_the_page_says_the_truth_and_nothing_is_lost(
    app: RunningApp, open_page: Callable[..., Page]
) -> None:
    told = dict(situations(app, lambda: open_page(locale="en-US")))
    assert len(told) == 11
    assert sorted(path.name for path in app.library.runs_folder.iterdir()) == ["long", "next"]
    assert app.library.names() == ["next"]
