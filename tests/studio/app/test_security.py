"""What an attacker would try on a running app: nothing leaks, nothing foreign is answered, no script runs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app_checking import callers, files
from tests.app_checking.foreign_page import another_site
from tests.app_checking.scripts import LONG, VARIANTS, plant_scripts, use_every_tab
from tests.app_checking.wire import ask
from tests.studio.app.conftest import RunningApp

LIMIT_BYTES = 1 << 20
_RECORDER = """
import os, socket
def _note(what):
    with open(os.environ["RECORD_CONNECTIONS"], "a") as stream:
        stream.write(f"{what}\\n")
_connect, _look_up = socket.socket.connect, socket.getaddrinfo
def connect(self, address):
    if self.family != socket.AF_UNIX and str(address[0]) not in ("127.0.0.1", "::1"):
        _note(f"connect {address}")
    return _connect(self, address)
def getaddrinfo(host, *rest, **named):
    if str(host) not in ("127.0.0.1", "::1", "localhost", "None"):
        _note(f"look up {host}")
    return _look_up(host, *rest, **named)
socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo = connect, connect, getaddrinfo
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with secrets in and around it, and the recorder of connections."""
    place = tmp_path_factory.mktemp("security")
    files.plant_secrets(place)
    (place / "recorder").mkdir()
    (place / "recorder" / "sitecustomize.py").write_text(_RECORDER)
    (place / "connections.txt").touch()
    return place


@pytest.fixture(scope="module")
def app(place: Path) -> Iterator[RunningApp]:
    """One app for all attacks; at the end, nothing may have left the machine."""
    seen = place / "connections.txt"
    paths = os.pathsep.join([str(place / "recorder"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {"PYTHONPATH": paths, "RECORD_CONNECTIONS": str(seen)}
    app = RunningApp(place / "library", environment=environment, arguments=("--largest-upload", "1mb")).start()
    yield app
    app.close()
    assert seen.read_text() == ""


def test_no_path_leads_out(app: RunningApp, place: Path) -> None:
    tally = files.traverse(app, place)
    assert tally.wrong == []
    assert tally.tried > 900
    assert ask(app, "GET", f"/gradio_api/file={place}/library/outputs/1.png").headers["content-type"] == "image/png"


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "code.js"])
def test_pages_and_drawings_are_only_ever_saved(app: RunningApp, place: Path, name: str) -> None:
    answer = ask(app, "GET", f"/gradio_api/file={place}/library/outputs/{name}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_no_event_reads_or_fetches_what_was_not_uploaded(app: RunningApp, place: Path) -> None:
    tally = files.made_up_files(app, place, every_event=False)
    assert tally.wrong == []
    assert tally.tried > 200
    assert ask(app, "GET", "/").status == 200


def test_only_our_own_host_and_page_are_answered(app: RunningApp) -> None:
    assert callers.foreign_names(app).wrong == []


def test_other_pages_can_send_nothing(app: RunningApp) -> None:
    assert callers.other_pages(app).wrong == []


def test_another_site_in_the_browser_reaches_nothing(app: RunningApp, browser: Browser) -> None:
    tally = another_site(app, browser)
    assert tally.wrong == []
    assert tally.tried > 50


def test_what_gradio_offers_besides_is_shut(app: RunningApp) -> None:
    assert callers.shut_routes(app).wrong == []


def test_uploads_keep_to_their_place_whatever_their_names(app: RunningApp) -> None:
    assert files.hostile_names(app).wrong == []


def test_hostile_uploads_end_in_a_sentence(app: RunningApp, tmp_path: Path) -> None:
    assert files.hostile_contents(app, tmp_path, LONG).wrong == []


def test_too_large_and_endless_uploads_leave_nothing_behind(app: RunningApp) -> None:
    assert files.oversize(app, LIMIT_BYTES).wrong == []
    assert files.slow_uploads(app, 20).wrong == []


def test_no_script_of_a_name_a_caption_or_a_picture_runs(tmp_path: Path, open_page) -> None:  # type: ignore[no-untyped-def]
    app = RunningApp(tmp_path / "library")
    assert plant_scripts(app) > len(VARIANTS)
    app.start()
    try:
        page: Page = open_page(locale="en-US")
        tally = use_every_tab(app, page, tmp_path, buttons=False)
    finally:
        app.close()
    assert tally.wrong == []
    assert tally.tried > 50


def test_with_a_password_only_the_page_that_asks_for_it_is_open(tmp_path: Path, open_page) -> None:  # type: ignore[no-untyped-def]
    library = files.plant_secrets(tmp_path)
    app = RunningApp(library, environment={"STUDIO_PASSWORD": "open sesame"}).start()
    try:
        assert callers.without_password(app).wrong == []
        assert callers.enter(app, "wrong") == {}
        assert ask(app, "GET", "/config", **callers.enter(app, "open+sesame")).status == 200
        page: Page = open_page(f"{app.url}/?tab=settings", locale="en-US")
        page.get_by_label("User name").fill("studio")
        page.get_by_label("Password").fill("open")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong")
        page.get_by_label("User name").fill("studio")
        page.get_by_label("Password").fill("open sesame")
        page.get_by_label("Password").press("Enter")
        expect(page.locator("#tab-settings")).to_be_visible()
        page.goto(f"{app.url}/logout")
        expect(page.get_by_label("Password")).to_be_visible()
    finally:
        app.close()
