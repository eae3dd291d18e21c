"""The app as its users meet it: a process of its own, and a real browser that must stay on this machine."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.app_checking.browsing import chromium
from tests.app_checking.running_app import RunningApp, free_port

__all__ = ["RunningApp", "free_port"]

_STARTS_AN_APP = {"browser", "start_app", "app", "blend_app", "drawing", "writing", "studio", "place"}
_STAY = ("test_frame", "test_story", "test_text_story")
_APART = ("test_load", "test_screenshots", "test_start")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts the app or a browser: `make browser-tests` runs it apart. The frame and the stories stay in."""
    for item in items:
        ours = Path(__file__).parent in item.path.parents and item.path.stem not in _STAY
        if ours and (_STARTS_AN_APP & set(getattr(item, "fixturenames", ())) or item.path.stem in _APART):
            item.add_marker(pytest.mark.browser)


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[Callable[..., RunningApp]]:
    """Start apps; each has a library of its own unless a folder is given. All are closed after the test."""
    apps: list[RunningApp] = []

    def start(folder: Path | None = None, *arguments: str, **environment: str) -> RunningApp:
        place = folder or tmp_path / f"library-{len(apps)}"
        apps.append(RunningApp(place, environment=environment, arguments=arguments))
        return apps[-1].start()

    yield start
    for app in apps:
        app.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """One app on an empty library for the tests of a file."""
    app = RunningApp(tmp_path_factory.mktemp("studio") / "library").start()
    yield app
    app.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Open pages, each in a browser profile of its own; options are those of `Browser.new_context`.

    The test fails when a page's script fails, or when a page asks anything of another machine.
    """
    pages: list[Page] = []
    wrong: list[str] = []

    def note(request: Request) -> None:
        if not re.match(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|data:|blob:", request.url):
            wrong.append(f"asked {request.url}")

    def open_one(url: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(60_000)
        context.on("request", note)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
        pages.append(page)
        if url:
            page.goto(url)
        return page

    expect.set_options(timeout=60_000)
    yield open_one
    for number, page in enumerate(pages):
        if not page.is_closed():
            page.screenshot(path=tmp_path / f"last-{number}.png")
        page.context.close()
    assert not wrong, wrong[:5]


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """One page in English."""
    return open_page(locale="en-US")
