"""The app as its users meet it: a process of its own, and a real browser that must stay on this machine."""

import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Request, expect, sync_playwright

from studio.catalogue import cached_catalogue, catalogue_place, read_catalogue
from studio.library import Library
from trainers.storage import write_text

_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


_GRADIOS_OWN = ("Cannot read properties of null (reading 'offsetWidth')",)
"""Errors of Gradio's own scripts: what watches a chart's size speaks once more after the chart's tab has been left."""
_STARTS_AN_APP = {"browser", "start_app", "app", "blend_app", "drawing", "writing", "studio", "place"}
_APART = ("test_load", "test_screenshots")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts the app or a browser: `make browser-tests` runs it apart. The frame's tests stay in."""
    for item in items:
        ours = Path(__file__).parent in item.path.parents and item.path.stem != "test_frame"
        if ours and (_STARTS_AN_APP & set(getattr(item, "fixturenames", ())) or item.path.stem in _APART):
            item.add_marker(pytest.mark.browser)


@functools.cache
def _catalogue() -> str:
    """Return the catalogue's file as text; reading it takes the model libraries and seconds, so one is read for all."""
    with tempfile.TemporaryDirectory() as folder:
        read_catalogue(Library(Path(folder)))
        return catalogue_place(Library(Path(folder))).read_text(encoding="utf-8")


@dataclass
class RunningApp:
    """One `studio app` on a library, which can be closed and started again."""

    folder: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    used_before: bool = True
    """Whether the catalogue has been read, as at every start but the first after an installation."""
    process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def library(self) -> Library:
        return Library(self.folder)

    def start(self) -> "RunningApp":
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.used_before and cached_catalogue(self.library) is None:
            write_text(catalogue_place(self.library), _catalogue())
        log = open(self.folder / "app.txt", "a")  # noqa: SIM115 - the process writes into it
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "studio", "app", "--port", str(self.port), "--library", str(self.folder)),
                *self.arguments,
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **self.environment},
        )
        log.close()
        for _ in range(600):
            if self.process.poll() is not None:
                raise AssertionError((self.folder / "app.txt").read_text())
            try:
                with urllib.request.urlopen(self.url, timeout=5) as answer:  # noqa: S310 - our own address
                    answer.read()
            except urllib.error.HTTPError as error:
                error.close()
                return self
            except OSError:
                time.sleep(0.1)
            else:
                return self
        raise AssertionError("the app did not answer")

    def close(self, number: int = signal.SIGINT) -> None:
        """End the app as Ctrl-C does, or by another signal."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[Callable[..., RunningApp]]:
    """Start apps; each has a library of its own unless a folder is given. All are closed after the test."""
    apps: list[RunningApp] = []

    def start(folder: Path | None = None, *arguments: str, **environment: str) -> RunningApp:
        place = folder or tmp_path / f"library-{len(apps)}"
        apps.append(RunningApp(place, free_port(), environment, arguments))
        return apps[-1].start()

    yield start
    for app in apps:
        app.close()


@pytest.fixture
def app(start_app: Callable[..., RunningApp]) -> RunningApp:
    """An app on an empty library."""
    return start_app()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium; no browser is ever downloaded."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "The tests of the app need Chromium. Install it, for example with: apt-get install chromium"
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=list(_QUIET))


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

    def note_error(error: Error) -> None:
        if str(error) not in _GRADIOS_OWN:
            wrong.append(f"script error: {error}")

    def open_one(url: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(60_000)
        context.on("request", note)
        page = context.new_page()
        page.on("pageerror", note_error)
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
