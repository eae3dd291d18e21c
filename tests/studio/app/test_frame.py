"""The app's frame: tabs found by themselves, guards, texts, start without heavy imports."""

import asyncio
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, Request, expect

from studio.app.server.server import Address, open_socket
from studio.app.shared.look import theme
from tests.app_checking.browsing import settle
from tests.studio.app.conftest import RunningApp, free_port
from trainers.card import CARD_NAME


def _status(app: RunningApp, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_page_opens_in_both_languages_and_foreign_names_are_refused(app: RunningApp, page: Page) -> None:
    page.goto(app.url)
    expect(page.get_by_role("tab").first).to_be_visible()
    assert _status(app, "/") == 200
    assert _status(app, "/", Host=f"localhost:{app.port}") == 200
    assert _status(app, "/", Host="evil.example") == 403
    assert _status(app, "/", Host=f"evil.example:{app.port}") == 403
    assert _status(app, "/", Origin="http://evil.example") == 403
    assert _status(app, "/", Origin="null") == 403


def test_what_the_browser_remembers_stands_outside_of_the_tabs(app: RunningApp) -> None:
    """Inside a tab it would be empty until the tab is opened, so a reload would forget it."""
    with urllib.request.urlopen(f"{app.url}/config") as answer:  # noqa: S310 - our own address
        config = json.load(answer)
    kinds = {component["id"]: component["type"] for component in config["components"]}

    def remembered(node: dict[str, Any]) -> list[int]:
        inside = [number for child in node.get("children") or () for number in remembered(child)]
        return [*inside, node["id"]] if kinds.get(node["id"]) == "browserstate" else inside

    tabs = next(node for node in config["layout"]["children"] if kinds[node["id"]] == "tabs")
    assert remembered(tabs) == []
    assert len(remembered(config["layout"])) >= 5


def test_events_report_their_progress_to_one_component_at_most(app: RunningApp) -> None:
    """The browser walks the whole page for each component that an event reports to, at every step of every event."""
    with urllib.request.urlopen(f"{app.url}/config") as answer:  # noqa: S310 - our own address
        events = json.load(answer)["dependencies"]
    for event in events:
        most = 0 if event["show_progress"] == "hidden" else 1
        assert len(event["show_progress_on"]) <= most, event


def test_the_address_names_the_tab(app: RunningApp, page: Page) -> None:
    page.goto(f"{app.url}/?__theme=dark")
    page.get_by_role("tab", name="Settings").click()
    page.wait_for_url(re.compile("__theme=dark&tab=settings"))
    page.reload()
    expect(page.get_by_role("tab", name="Settings")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Train").click()
    page.wait_for_url(re.compile("tab=train"))


def test_a_library_named_by_a_relative_path_shows_its_pictures(
    tmp_path: Path, start_app: Callable[..., RunningApp], page: Page
) -> None:
    preview = tmp_path / "library" / "adapters" / "one" / "previews" / "a.png"
    preview.parent.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(preview)
    base = {"name": "any", "family": "sd15", "fingerprint": "0" * 64, "widths": {}}
    card = {"name": "one", "base": base, "parts": {"unet": {"method": "lora"}}}
    (preview.parents[1] / CARD_NAME).write_text(json.dumps(card))
    app = start_app(Path(os.path.relpath(tmp_path / "library")))
    page.goto(f"{app.url}/?tab=library")
    picture = page.locator("button[data-name=one] img")
    expect(picture).to_be_visible()
    expect(picture).not_to_have_js_property("naturalWidth", 0)


def test_another_address_wants_a_password(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "studio", "app", "--host", "0.0.0.0", "--library", str(tmp_path)],  # noqa: S104
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "STUDIO_PASSWORD" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_with_a_password_nothing_is_shown_before_it(start_app: Callable[..., RunningApp]) -> None:
    app = start_app(None, STUDIO_PASSWORD="open sesame")  # noqa: S106
    assert _status(app, "/config") == 401
    assert _status(app, "/gradio_api/info") == 401


def test_empty_boxes_can_be_seen_in_both_themes() -> None:
    """WCAG 1.4.11 wants 3:1 between the border of a box and what lies beneath it."""
    look = theme()
    for mode in ("", "_dark"):
        beneath = _resolved(look, "block_background_fill", mode)
        for state in ("", "_hover"):
            border = _resolved(look, f"checkbox_border_color{state}", mode)
            assert _contrast(border, beneath) >= 3, (mode, state, border, beneath)


def _resolved(look: Any, name: str, mode: str) -> str:
    value = getattr(look, name + mode) or getattr(look, name)
    while value.startswith("*"):
        key = value[1:]
        value = getattr(look, key + mode, None) or getattr(look, key)
    return {"white": "#ffffff", "black": "#000000"}.get(value, value)


def _contrast(first: str, second: str) -> float:
    def luminance(colour: str) -> float:
        shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_the_app_starts_without_the_model_libraries() -> None:
    heavy = "[m for m in ('torch', 'transformers', 'diffusers', 'peft', 'accelerate') if m in sys.modules]"
    program = (
        "import sys; from pathlib import Path; from studio.app.server.server import *;"
        "from studio.app.page import build_app;"
        f"build_app(Library(Path('x')), Engine(Path('x'))); print({heavy})"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_a_room_dropped_into_the_app_is_a_tab(tmp_path: Path, page: Page) -> None:
    (tmp_path / "weather").mkdir()
    (tmp_path / "weather" / "__init__.py").write_text("")
    (tmp_path / "weather" / "tab.py").write_text(
        "import gradio as gr\n"
        "from studio.app.shared.tab_record import Tab\n"
        "def build(desk):\n    gr.Textbox(label=desk.words('weather.sky'))\n"
        "TAB = Tab('weather', 999, build)\n"
    )
    (tmp_path / "weather" / "locales").mkdir()
    (tmp_path / "weather" / "locales" / "en.json").write_text('{"weather.title": "Weather", "weather.sky": "Sky"}')
    port = free_port()
    program = (
        f"import studio.app, sys; studio.app.__path__.append({str(tmp_path)!r}); from studio.cli.main import main;"
        f"sys.exit(main(['app', '--port', '{port}', '--library', {str(tmp_path / 'library')!r}]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "open at" in process.stdout.readline()
        page.goto(f"http://127.0.0.1:{port}/?tab=weather")
        expect(page.get_by_label("Sky")).to_be_visible()
        page.wait_for_load_state("load")  # a page that still loads calls the end of the app an error
        page.goto("about:blank")
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_opening_the_page_asks_for_the_first_tab_alone(app: RunningApp, page: Page) -> None:
    """Work of tabs that nobody looks at yet would stand between the user and the first form."""
    asked: list[int] = []

    def note(request: Request) -> None:
        if "/queue/join" in request.url:
            asked.append(request.post_data_json["fn_index"])

    page.on("request", note)
    page.goto(app.url)
    expect(page.locator("#train-add")).to_be_visible(timeout=60_000)
    settle(page)
    with urllib.request.urlopen(f"{app.url}/config") as answer:  # noqa: S310 - our own address
        events = json.load(answer)["dependencies"]
    at_opening = {number for number in asked if any(target[1] == "load" for target in events[number]["targets"])}
    assert len(at_opening) <= 2, asked
    assert len(asked) <= 6, asked


def test_scripts_are_kept_by_the_browser_and_come_uncompressed_to_this_machine(app: RunningApp) -> None:
    with urllib.request.urlopen(app.url) as answer:  # noqa: S310 - our own address
        script = re.search(r"assets/[\w-]+\.js", answer.read().decode())
    assert script is not None
    asked = urllib.request.Request(f"{app.url}/{script.group()}", headers={"Accept-Encoding": "gzip, br"})  # noqa: S310
    with urllib.request.urlopen(asked) as answer:  # noqa: S310
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "content-encoding" not in answer.headers
    with urllib.request.urlopen(app.url) as answer:  # noqa: S310 - the page itself changes with the studio
        assert "immutable" not in (answer.headers["cache-control"] or "")


def test_answers_go_out_at_once() -> None:
    """With Nagle's algorithm each answer waits for an acknowledgement, which a client may hold back for 40 ms."""
    held: list[int] = []

    async def accept() -> None:
        def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = open_socket(Address(port=0))
        async with await asyncio.start_server(note, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await reader.read()
            writer.close()
            await writer.wait_closed()

    with ThreadPoolExecutor() as beside:  # the browser's own loop runs in this thread
        beside.submit(lambda: asyncio.run(accept())).result()
    assert held
    assert all(held)


def test_numbers_beyond_all_bounds_leave_the_page_alive(app: RunningApp, page: Page) -> None:
    """Gradio's stream of answers ended over an integer beyond 64 bits, and the page was dead without a word."""
    page.goto(app.url)
    steps = page.locator("#field-run-steps input").first
    expect(steps).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="The same run as YAML").click()
    steps.fill("99999999999999999999")
    steps.press("Tab")
    problems = page.locator("#train-problems")
    expect(problems).to_contain_text("steps = 100000000000000000000", timeout=120_000)
    steps.fill("7")
    steps.press("Tab")
    expect(problems).to_have_text("")
    expect(page.locator("#tab-train .cm-content").first).to_contain_text("steps: 7")
    assert "Traceback" not in (app.folder / "app.txt").read_text()
