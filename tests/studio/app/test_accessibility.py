"""axe-core finds nothing serious in any tab, in either theme."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from studio.app.tabs import tabs
from studio.library.datasets import copy_dataset, example_datasets
from tests.app_checking.accessibility import look_at_tabs
from tests.studio.app.conftest import RunningApp
from tests.studio.app.drawing_library import write_drawing_library


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app on a library that holds adapters and a dataset."""
    folder: Path = tmp_path_factory.mktemp("axe")
    copy_dataset(write_drawing_library(folder), example_datasets()["subjects/bip"], "robot")
    app = RunningApp(folder).start()
    yield app
    app.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(app: RunningApp, open_page: Callable[..., Page], theme: str) -> None:
    looked = list(look_at_tabs(app, lambda: open_page(locale="en-US"), (theme,)))
    assert [look.tab for look in looked] == list(tabs())
    assert all(look.rules > 10 for look in looked)
    problems = {look.tab: look.problems for look in looked if look.problems}
    assert problems == {}
