"""What an attacker would try on a running app: nothing leaks, nothing foreign is answered, no script runs."""

import json
import os
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect

from tests.studio.web.attacks import Answer, Trap, ask, ask_raw, config_of, fire
from tests.studio.web.conftest import RunningApp, free_port

MARK = b"SECRET-THAT-MUST-NOT-LEAK"
EVIL = "<img src=x onerror=window.fired=1><script>window.fired=1</script>[a](javascript:window.fired=1)"
META = {"_type": "gradio.FileData"}
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
    library = place / "library"
    for path in (
        *("secret.txt", "secret.svg", "library/queue.json", "library/runs/one/config.yaml", "library/.hidden"),
        *("library/runs/one/samples/notes.txt", "library/runs/one/log.txt", "library/adapters/a/adapter.safetensors"),
        *("library/adapters/a/previews/page.html", "library/adapters/a/adapter.json", "library/datasets/d/1.txt"),
        *("library/outputs/page.html", "library/outputs/drawing.svg", "library/outputs/code.js"),
    ):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(MARK)
    Image.new("RGB", (8, 8)).save(library / "outputs" / "1.png")
    for link, target in (("outputs/link.png", "secret.txt"), ("adapters/a/previews/link.png", "secret.txt")):
        (library / link).symlink_to(place / target)
    (library / "outputs" / "circle").symlink_to(library / "outputs" / "circle")
    (place / "recorder").mkdir()
    (place / "recorder" / "sitecustomize.py").write_text(_RECORDER)
    (place / "connections.txt").touch()
    (library / "queue.json").unlink()
    return place


@pytest.fixture(scope="module")
def app(place: Path) -> Iterator[RunningApp]:
    """One app for all attacks; at the end, nothing may have left the machine."""
    seen = place / "connections.txt"
    paths = os.pathsep.join([str(place / "recorder"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    app = RunningApp(place / "library", free_port(), {"PYTHONPATH": paths, "RECORD_CONNECTIONS": str(seen)}).start()
    yield app
    app.close()
    assert seen.read_text() == ""


def _payloads(place: Path) -> list[str]:
    secret, library = str(place / "secret.txt"), str(place / "library")
    up = "../" * 12
    return [
        secret, f"file://{secret}", f"{library}/../secret.txt", f"{library}/outputs/../../secret.txt",
        f"{library}/outputs/..%2f..%2fsecret.txt", f"{library}/outputs/%2e%2e/%2e%2e/secret.txt",
        f"{library}/outputs/....//....//secret.txt", f"{library}\\..\\secret.txt", up + secret.lstrip("/"),
        "//" + secret,
        f"/proc/self/root{secret}", f"/proc/self/cwd/{up}{secret.lstrip('/')}", f"{secret}%00.png", f"{secret}?x=.png",
        quote(secret, safe=""), quote(quote(secret, safe=""), safe=""), "/etc/passwd", "/proc/self/environ",
        f"{library}/runs/one/config.yaml", f"{library}/runs/one/log.txt", f"{library}/runs/one/samples/notes.txt",
        f"{library}/adapters/a/adapter.safetensors", f"{library}/adapters/a/adapter.json",
        f"{library}/datasets/d/1.txt",
        f"{library}/adapters/a/previews/page.html", f"{library}/adapters/a/previews/link.png",
        f"{library}/.hidden",
        f"{library}/outputs/link.png", f"{library}/outputs/circle", f"{library}/outputs", f"{library}/app.txt",
        "http://127.0.0.1:{port}/", "http://169.254.169.254/latest/meta-data/",
    ]  # fmt: skip


ROUTES = (
    *("/gradio_api/file=", "/gradio_api/file/", "/file=", "/file/", "/gradio_api/proxy=", "/proxy=", "/static/"),
    *("/assets/", "/svelte/", "/gradio_api/stream/", "/gradio_api/custom_component/", "/"),
    "/gradio_api/upload_progress?upload_id=",
)


def test_no_path_leads_out(app: RunningApp, place: Path) -> None:
    with Trap() as trap:
        for route, payload, method in product(ROUTES, _payloads(place), ("GET", "HEAD")):
            path = route + payload.replace("{port}", str(trap.port)).replace(" ", "%20")
            if "upload_progress" not in route:
                _assert_no_leak(ask(app, method, path), path)
        assert trap.callers == []
    assert ask(app, "GET", f"/gradio_api/file={place}/library/outputs/1.png").headers["content-type"] == "image/png"


def _assert_no_leak(answer: Answer, what: str) -> None:
    assert answer.status != 500, what
    for leaked in (MARK, b"root:", b"PATH="):
        assert leaked not in answer.body, what


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "code.js"])
def test_pages_and_drawings_are_only_ever_saved(app: RunningApp, place: Path, name: str) -> None:
    answer = ask(app, "GET", f"/gradio_api/file={place}/library/outputs/{name}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_no_event_reads_or_fetches_what_was_not_uploaded(app: RunningApp, place: Path) -> None:
    config, secret = config_of(app), str(place / "secret.txt")
    events = [event for event in config["dependencies"] if event["backend_fn"]]
    assert len(events) > 100
    taking = [event for event in _file_events(config) if event["inputs"]]
    with Trap() as trap:
        address = f"http://127.0.0.1:{trap.port}/1.png"
        for number, (asked, value) in enumerate(
            (
                (events, {"path": secret, "orig_name": "1.png", "meta": META}),
                (taking, {"path": str(place / "secret.svg"), "orig_name": "1.png", "meta": META}),
                (taking, [{"path": f"{app.folder}/cache/web/../../../secret.txt", "meta": META}]),
                (taking, {"path": address, "url": address, "orig_name": "1.png", "meta": META}),
                (taking, [{"image": {"path": "http://a.example/1.png", "meta": META}, "caption": "x"}]),
                (taking, f"{app.folder}/outputs/../../secret.txt"),
            )
        ):
            answers = fire(app, [(event["id"], [value] * len(event["inputs"])) for event in asked], f"files-{number}")
            assert len(answers) >= len(asked)
            _assert_nothing_in(app, answers)
        assert trap.callers == []
    assert ask(app, "GET", "/").status == 200


def _file_events(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the public endpoints, and the events that take a file or a gallery."""
    kinds = {item["id"]: item["type"] for item in config["components"]}
    taking = {"file", "uploadbutton", "gallery", "image", "imageslider"}
    return [
        event
        for event in config["dependencies"]
        if event["backend_fn"]
        and (event["api_visibility"] == "public" or {kinds.get(number) for number in event["inputs"]} & taking)
    ]


def _assert_nothing_in(app: RunningApp, answers: list[dict[str, Any]]) -> None:
    said = json.dumps(answers)
    assert MARK.decode() not in said
    for path in set(re.findall(r"[\"']path[\"']: [\"']([^\"']+)", said)):
        assert MARK not in ask(app, "GET", f"/gradio_api/file={quote(path)}").body, path
    cache = app.folder / "cache" / "web"
    copies = [path for path in cache.rglob("*") if path.is_file() and MARK in path.read_bytes()]
    assert copies == []


def test_only_our_own_host_and_page_are_answered(app: RunningApp) -> None:
    own, port = f"127.0.0.1:{app.port}", app.port
    for host in (own, f"LOCALHOST:{port}", f"[::1]:{port}", "localhost"):
        assert ask(app, "GET", "/config", Host=host).status == 200, host
    for host in (
        "evil.example",
        f"evil.example:{port}",
        f"127.0.0.1.evil.example:{port}",
        f"x@{own}",
        f"0.0.0.0:{port}",
    ):
        assert ask(app, "GET", "/config", Host=host).status == 403, host
    for origin in (
        *("null", "http://evil.example", f"http://127.0.0.1:{port + 1}", "http://127.0.0.1", "http://localhost"),
        *(f"http://{own}@evil.example", f"http://{own}.evil.example", "file://", f"http://localhost:{port}"),
    ):
        assert ask(app, "GET", "/config", Origin=origin).status == 403, origin
    assert ask(app, "GET", "/config", Origin=f"HTTP://{own}").status == 200
    line = f"GET http://evil.example/config HTTP/1.1\nHost: {own}\nConnection: close\n"
    assert ask_raw(app, line + "\n") in (400, 403, 404)
    assert ask_raw(app, f"GET /config HTTP/1.1\nHost: {own}\nHost: evil.example\nConnection: close\n\n") in (400, 403)
    assert ask_raw(app, "GET /config HTTP/1.0\nConnection: close\n\n") in (400, 403)


def test_other_pages_can_send_nothing(app: RunningApp) -> None:
    status = next(event for event in config_of(app)["dependencies"] if event["api_name"] == "status")
    message = json.dumps({"fn_index": status["id"], "data": ["one"], "session_hash": "x"}).encode()
    for kind, headers in product(
        ("text/plain", "application/json", "application/x-www-form-urlencoded"),
        ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}),
    ):
        for path in (
            "/gradio_api/queue/join",
            "/gradio_api/call/status",
            "/gradio_api/upload",
            "/gradio_api/run/status",
        ):
            assert ask(app, "POST", path, message, Content_Type=kind, **headers).status == 403
    assert ask(app, "POST", "/gradio_api/queue/join", message, Content_Type="text/plain").status == 422
    for site in ("cross-site", "same-site"):
        picture = f"/gradio_api/file={app.folder}/outputs/1.png"
        assert ask(app, "GET", picture, Sec_Fetch_Site=site, Sec_Fetch_Dest="image").status == 403
        assert ask(app, "GET", "/", Sec_Fetch_Site=site, Sec_Fetch_Dest="iframe").status == 403
        assert ask(app, "GET", "/?tab=runs", Sec_Fetch_Site=site, Sec_Fetch_Dest="document").status == 200


def test_what_gradio_offers_besides_is_shut(app: RunningApp) -> None:
    for path in (
        *("/monitoring", "/monitoring/summary", "/gradio_api/mcp/", "/gradio_api/mcp/sse", "/gradio_api/deep_link"),
        *("/gradio_api/vibe-code", "/gradio_api/runs", "/gradio_api/run-history/records", "/docs", "/openapi.json"),
    ):
        assert ask(app, "GET", path).status in (403, 404), path
    assert ask(app, "POST", "/gradio_api/vibe-edit", b"{}", Content_Type="application/json").status == 403


def _upload(app: RunningApp, name: str, content: bytes) -> Answer:
    edge = b"--edge"
    head = b'Content-Disposition: form-data; name="files"; filename="' + name.encode() + b'"'
    body = edge + b"\r\n" + head + b"\r\nContent-Type: image/png\r\n\r\n" + content + b"\r\n" + edge + b"--\r\n"
    return ask(app, "POST", "/gradio_api/upload", body, Content_Type="multipart/form-data; boundary=edge")


def test_uploads_keep_to_their_place_whatever_their_names(app: RunningApp) -> None:
    cache = (app.folder / "cache" / "web").resolve()
    for name in (
        *("../../evil.txt", "..\\..\\evil.txt", "/etc/evil.txt", "....//evil.txt", "a/../../../evil.txt", "~/evil.txt"),
        *(
            "%2e%2e%2fevil.txt",
            "evil\0.txt",
            ".htaccess",
            "con.txt",
            "x" * 400 + ".txt",
            "<img src=x>.txt",
            "\u202etxt.exe",
        ),
    ):
        answer = _upload(app, name, b"content")
        if answer.status == 200:
            for path in json.loads(answer.body):
                assert Path(path).resolve().is_relative_to(cache), name
        assert answer.status in (200, 400, 422), (name, answer.status)
    assert not [path for path in app.folder.parent.rglob("evil*") if not path.is_relative_to(cache)]


def _hostile_files(folder: Path) -> dict[str, bytes]:
    deep = b'{"a":' * 50_000
    picture = folder / "text.png"
    info = PngInfo()
    info.add_text("prompt", EVIL)
    Image.new("RGB", (8, 8)).save(picture, pnginfo=info)
    giant = bytearray(picture.read_bytes())
    giant[16:24] = struct.pack(">II", 60_000, 60_000)
    return {
        "empty.safetensors": b"",
        "header.safetensors": struct.pack("<Q", 1 << 62) + b"{}",
        "deep.safetensors": struct.pack("<Q", len(deep)) + deep,
        "shape.safetensors": _safetensors({"a": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}),
        "script.safetensors": _safetensors({"__metadata__": {EVIL: EVIL}, EVIL: _TENSOR}),
        "giant.png": bytes(giant),
        "text.png": picture.read_bytes(),
        "torn.png": picture.read_bytes()[:50],
        "page.png": b"<html><script>window.fired=1</script>",
    }


_TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def _safetensors(header: dict[str, Any]) -> bytes:
    content = json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content + bytes(4)


def test_hostile_uploads_end_in_a_sentence(app: RunningApp, tmp_path: Path) -> None:
    config = config_of(app)
    kinds = {item["id"]: item["type"] for item in config["components"]}
    takers = [
        event
        for event in config["dependencies"]
        if event["backend_fn"] and {kinds[number] for number in event["inputs"]} & {"file", "uploadbutton"}
    ]
    assert len(takers) >= 4
    for place, (name, content) in enumerate(_hostile_files(tmp_path).items()):
        file = {"path": json.loads(_upload(app, name, content).body)[0], "orig_name": name, "meta": META}
        calls = [(event["id"], [_value(kinds[number], file) for number in event["inputs"]]) for event in takers]
        for answer in fire(app, calls, f"hostile-{place}"):
            if answer["msg"] == "process_completed" and not answer["success"]:
                said = str(answer["output"]["error"])
                assert said
                assert "Traceback" not in said
                assert "unforeseen" not in said, (name, said)
    assert ask(app, "GET", "/").status == 200


def _value(kind: str, file: dict[str, Any]) -> Any:
    return {"file": file, "uploadbutton": file, "checkbox": False, "number": 1, "slider": 1}.get(kind, "")


def test_no_script_of_a_name_a_caption_or_a_picture_runs(
    app: RunningApp, place: Path, open_page: Callable[..., Page]
) -> None:
    for folder, name in (
        (app.library.adapters_folder, f"{EVIL[:40]}".replace("/", "_")),
        (app.library.runs_folder, "r"),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "adapter.json").write_text(json.dumps({"name": EVIL, "base": {"name": EVIL}}))
    shutil.rmtree(app.library.runs_folder / "one")
    run = app.library.runs_folder / "r"
    (run / "config.yaml").write_text(json.dumps({"name": EVIL, "base": EVIL, "data": EVIL, "kind": "pictures"}))
    (run / "state.json").write_text(
        json.dumps({"status": "failed", "step": 1, "total": 2, "problem": f"{EVIL}\n  - {EVIL}"})
    )
    (run / "log.txt").write_text(EVIL)
    (run / "samples").mkdir()
    info = PngInfo()
    info.add_itxt("prompt", EVIL)
    Image.new("RGB", (8, 8)).save(run / "samples" / "step-00000000-0.png", pnginfo=info)
    page = open_page(locale="en-US")
    page.goto(f"{app.url}/?tab=runs&__theme=dark&x={quote(EVIL)}")
    expect(page.get_by_label("Log", exact=True)).to_have_value(re.compile("onerror"))
    for tab in page.get_by_role("tab").all():
        tab.dispatch_event("click")
        page.wait_for_timeout(300)
    page.get_by_role("tab", name="Library", exact=True).dispatch_event("click")
    page.locator("#library-cards button").first.dispatch_event("click")
    page.wait_for_timeout(500)
    assert page.evaluate("window.fired") is None
    assert page.locator("img[src='x']").count() == 0


def test_with_a_password_only_the_login_page_is_open(start_app: Callable[..., RunningApp]) -> None:
    app = start_app(None, STUDIO_PASSWORD="open sesame")  # noqa: S106
    (app.folder / "outputs" / "1.png").write_bytes(MARK)
    for path in (
        *("/config", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/upload_progress?upload_id=1"),
        *(f"/gradio_api/file={app.folder}/outputs/1.png", "/gradio_api/queue/data?session_hash=x", "/monitoring"),
        *(
            "/gradio_api/heartbeat/x",
            "/gradio_api/call/status/1",
            "/gradio_api/queue/status",
        ),
    ):
        answer = ask(app, "GET", path)
        assert answer.status in (401, 403, 404), path
        assert MARK not in answer.body
    for path in (
        *("/gradio_api/queue/join", "/gradio_api/call/status", "/gradio_api/run/status", "/gradio_api/upload"),
        *("/gradio_api/reset", "/gradio_api/cancel", "/gradio_api/component_server"),
    ):
        assert ask(app, "POST", path, b"{}", Content_Type="application/json").status in (401, 403), path
    assert b"SECRET" not in ask(app, "GET", "/").body
    login = b"username=studio&password=wrong"
    assert ask(app, "POST", "/login", login, Content_Type="application/x-www-form-urlencoded").status == 400
    entered = ask(
        app, "POST", "/login", b"username=studio&password=open+sesame", Content_Type="application/x-www-form-urlencoded"
    )
    cookie = entered.headers["set-cookie"].split(";")[0]
    assert ask(app, "GET", "/config", Cookie=cookie).status == 200
