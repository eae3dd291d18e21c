"""Attempts to get at files that the app must not hand out, and to hand it files that harm it."""

import json
import re
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .running_app import RunningApp
from .wire import Answer, Trap, ask, config_of, fire, send_slowly

MARK = b"SECRET-THAT-MUST-NOT-LEAK"
META = {"_type": "gradio.FileData"}
ROUTES = (
    *("/gradio_api/file=", "/gradio_api/file/", "/file=", "/file/", "/gradio_api/proxy=", "/proxy=", "/static/"),
    *("/assets/", "/svelte/", "/gradio_api/stream/", "/gradio_api/custom_component/", "/pwa_icon/", "/"),
)
HOSTILE_NAMES = (
    *("../../evil.txt", "..\\..\\evil.txt", "/etc/evil.txt", "....//evil.txt", "a/../../../evil.txt", "~/evil.txt"),
    *("%2e%2e%2fevil.txt", "evil\0.txt", ".htaccess", "con.txt", "evil" * 100 + ".txt", "<img src=x>.txt"),
    *("\u202etxt.exe", "C:\\evil.txt", "evil.txt:stream", "file:///etc/evil.txt", "$(touch evil.txt)", "evil;`id`.txt"),
)
_TAKING_FILES = {"file", "uploadbutton", "gallery", "image", "imageslider"}


@dataclass
class Tally:
    """How much was tried, and what went wrong."""

    tried: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, right: bool, what: object) -> None:
        """Count one attempt."""
        self.tried += 1
        if not right:
            self.wrong.append(str(what)[:300])


def plant_secrets(place: Path) -> Path:
    """Write a library with files in and around it that must not leave, and return it."""
    library = place / "library"
    for path in (
        *("secret.txt", "secret.svg", "library/runs/one/config.yaml", "library/.hidden", "library/settings.json.bak"),
        *("library/runs/one/samples/notes.txt", "library/runs/one/log.txt", "library/adapters/a/adapter.safetensors"),
        *("library/adapters/a/previews/page.html", "library/adapters/a/adapter.json", "library/datasets/d/1.txt"),
        *("library/outputs/page.html", "library/outputs/drawing.svg", "library/outputs/code.js"),
    ):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(MARK)
    Image.new("RGB", (8, 8)).save(library / "outputs" / "1.png")
    for link in ("outputs/link.png", "adapters/a/previews/link.png"):
        (library / link).symlink_to(place / "secret.txt")
    (library / "outputs" / "circle").symlink_to(library / "outputs" / "circle")
    return library


def path_payloads(place: Path) -> list[str]:
    """Return paths that lead, or would lead, to what must not leave; ``{port}`` stands for that of a trap."""
    secret, library = str(place / "secret.txt"), str(place / "library")
    up = "../" * 12
    return [
        secret, f"file://{secret}", f"{library}/../secret.txt", f"{library}/outputs/../../secret.txt",
        f"{library}/outputs/..%2f..%2fsecret.txt", f"{library}/outputs/%2e%2e/%2e%2e/secret.txt",
        f"{library}/outputs/....//....//secret.txt", f"{library}\\..\\secret.txt", up + secret.lstrip("/"),
        "//" + secret, f"{library}/outputs/..%252f..%252fsecret.txt", f"{library}/outputs/..%c0%af..%c0%afsecret.txt",
        f"/proc/self/root{secret}", f"/proc/self/cwd/{up}{secret.lstrip('/')}", f"{secret}%00.png", f"{secret}?x=.png",
        quote(secret, safe=""), quote(quote(secret, safe=""), safe=""), "/etc/passwd", "/proc/self/environ",
        f"{library}/runs/one/config.yaml", f"{library}/runs/one/log.txt", f"{library}/runs/one/samples/notes.txt",
        f"{library}/adapters/a/adapter.safetensors", f"{library}/adapters/a/adapter.json",
        f"{library}/datasets/d/1.txt", f"{library}/settings.json.bak", f"{library}/cache/web/../../.hidden",
        f"{library}/adapters/a/previews/page.html", f"{library}/adapters/a/previews/link.png",
        f"{library}/.hidden",
        f"{library}/outputs/link.png", f"{library}/outputs/circle", f"{library}/outputs", f"{library}/app.txt",
        "http://127.0.0.1:{port}/", "http://169.254.169.254/latest/meta-data/", "\\\\127.0.0.1\\share\\1.png",
    ]  # fmt: skip


def leaks(content: bytes) -> bool:
    """Return whether something came out that must not."""
    return any(leaked in content for leaked in (MARK, b"root:", b"PATH="))


def traverse(app: RunningApp, place: Path, **headers: str) -> Tally:
    """Ask every route that takes a path for every payload; right is no leak, no failure, and no call to a trap."""
    tally = Tally()
    with Trap() as trap:
        for route, payload, method in product(ROUTES, path_payloads(place), ("GET", "HEAD")):
            path = route + payload.replace("{port}", str(trap.port)).replace(" ", "%20")
            answer = ask(app, method, path, **headers)
            tally.note(answer.status != 500 and not leaks(answer.body), f"{method} {path}: {answer.status}")
        tally.wrong += [f"a trap was called by {caller}" for caller in trap.callers]
    return tally


def made_up_files(app: RunningApp, place: Path, *, every_event: bool) -> Tally:
    """Hand events files that were never uploaded; right is that nothing of them comes out, is copied or fetched.

    Args:
        every_event: try every shape of a file on every event, not only on those that take files.
    """
    config, secret, tally = config_of(app), str(place / "secret.txt"), Tally()
    events = [event for event in config["dependencies"] if event["backend_fn"] and event["inputs"]]
    taking = events if every_event else _taking_files(config)
    with Trap() as trap:
        address = f"http://127.0.0.1:{trap.port}/1.png"
        shapes: list[tuple[Sequence[Mapping[str, Any]], Any]] = [
            (events, {"path": secret, "orig_name": "1.png", "meta": META}),
            (taking, {"path": str(place / "secret.svg"), "orig_name": "1.png", "meta": META}),
            (taking, [{"path": f"{app.folder}/cache/web/../../../secret.txt", "meta": META}]),
            (taking, {"path": address, "url": address, "orig_name": "1.png", "meta": META}),
            (taking, [{"image": {"path": "http://a.example/1.png", "meta": META}, "caption": "x"}]),
            (taking, f"{app.folder}/outputs/../../secret.txt"),
        ]
        for number, (asked, value) in enumerate(shapes):
            answers = fire(app, [(event["id"], [value] * len(event["inputs"])) for event in asked], f"files-{number}")
            tally.tried += len(asked)
            tally.wrong += list(_leaks_of(app, answers))
        tally.wrong += [f"a trap was called by {caller}" for caller in trap.callers]
    return tally


def _taking_files(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the public endpoints, and the events that take a file or a gallery."""
    kinds = {item["id"]: item["type"] for item in config["components"]}
    return [
        event
        for event in config["dependencies"]
        if event["backend_fn"]
        and event["inputs"]
        and (event["api_visibility"] == "public" or {kinds.get(number) for number in event["inputs"]} & _TAKING_FILES)
    ]


def _leaks_of(app: RunningApp, answers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    said = json.dumps(answers)
    if MARK.decode() in said:
        yield "an event told a secret"
    for path in set(re.findall(r"[\"']path[\"']: [\"']([^\"']+)", said)):
        if MARK in ask(app, "GET", f"/gradio_api/file={quote(path)}").body:
            yield f"an event made {path} be handed out"
    for path in (app.folder / "cache" / "web").rglob("*"):
        if path.is_file() and MARK in path.read_bytes():
            yield f"an event copied a secret to {path}"


def upload(app: RunningApp, name: str, content: bytes, **headers: str) -> Answer:
    """Upload a file as a page does."""
    head = b'Content-Disposition: form-data; name="files"; filename="' + name.encode() + b'"'
    body = b"--edge\r\n" + head + b"\r\nContent-Type: image/png\r\n\r\n" + content + b"\r\n--edge--\r\n"
    return ask(app, "POST", "/gradio_api/upload", body, Content_Type="multipart/form-data; boundary=edge", **headers)


def hostile_names(app: RunningApp) -> Tally:
    """Upload files whose names lead elsewhere; right is that none lies outside the place of uploads."""
    tally, cache = Tally(), (app.folder / "cache" / "web").resolve()
    for name in HOSTILE_NAMES:
        answer = upload(app, name, b"content")
        paths = json.loads(answer.body) if answer.status == 200 else []
        inside = all(Path(path).resolve().is_relative_to(cache) for path in paths)
        tally.note(inside and answer.status in (200, 400, 422), f"{name!r}: {answer.status} {paths}")
    strays = [path for path in app.folder.parent.rglob("evil*") if not path.resolve().is_relative_to(cache)]
    tally.wrong += [f"an upload became {path}" for path in strays]
    return tally


def hostile_contents(app: RunningApp, folder: Path, script: str) -> Tally:
    """Upload files that are not what they say, and hand them to every event that takes one.

    Right is that each ends in a sentence and that the app still answers.
    """
    config, tally = config_of(app), Tally()
    kinds = {item["id"]: item["type"] for item in config["components"]}
    takers = [
        event
        for event in config["dependencies"]
        if event["backend_fn"] and {kinds[number] for number in event["inputs"]} & {"file", "uploadbutton"}
    ]
    for place, (name, content) in enumerate(_hostile_files(folder, script).items()):
        file = {"path": json.loads(upload(app, name, content).body)[0], "orig_name": name, "meta": META}
        calls = [(event["id"], [_value(kinds[number], file) for number in event["inputs"]]) for event in takers]
        for answer in fire(app, calls, f"hostile-{place}"):
            said = str(answer["output"].get("error")) if answer.get("success") is False else "done"
            tally.note(said != "None" and "Traceback" not in said and "unforeseen" not in said, f"{name}: {said}")
    tally.note(ask(app, "GET", "/").status == 200, "the app no longer answers")
    return tally


def _hostile_files(folder: Path, script: str) -> dict[str, bytes]:
    deep = b'{"a":' * 50_000
    picture, info = folder / "text.png", PngInfo()
    info.add_text("prompt", script)
    Image.new("RGB", (8, 8)).save(picture, pnginfo=info)
    giant = bytearray(picture.read_bytes())
    giant[16:24] = struct.pack(">II", 60_000, 60_000)
    huge = {"a": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    return {
        "empty.safetensors": b"",
        "header.safetensors": struct.pack("<Q", 1 << 62) + b"{}",
        "deep.safetensors": struct.pack("<Q", len(deep)) + deep,
        "shape.safetensors": safetensors_file(huge),
        "script.safetensors": safetensors_file({"__metadata__": {script: script}, script: tensor}),
        "giant.png": bytes(giant),
        "text.png": picture.read_bytes(),
        "torn.png": picture.read_bytes()[:50],
        "page.png": b"<html><script>window.fired=1</script>",
        "drawing.svg": f"<svg xmlns='http://www.w3.org/2000/svg'>{script}</svg>".encode(),
    }


def safetensors_file(header: Mapping[str, Any]) -> bytes:
    """Return a file of four bytes of tensors under any header."""
    content = json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content + bytes(4)


def _value(kind: str, file: Mapping[str, Any]) -> Any:
    return {"file": file, "uploadbutton": file, "checkbox": False, "number": 1, "slider": 1}.get(kind, "")


def oversize(app: RunningApp, limit_bytes: int) -> Tally:
    """Send more than is taken; right is 413, and that nothing of it stays on the disk."""
    tally, cache = Tally(), app.folder / "cache" / "web"
    tally.note(upload(app, "right.bin", bytes(limit_bytes)).status == 200, "a file of just the limit was refused")
    before = {path for path in cache.rglob("*") if path.is_file()}
    answer = upload(app, "large.bin", bytes(limit_bytes + 1))
    tally.note(answer.status == 413, f"a file over the limit: {answer.status}")
    for path in ("/gradio_api/queue/join", "/gradio_api/call/status", "/gradio_api/run/status", "/login"):
        body = b'{"data": ["' + b"x" * (64 << 20) + b'"]}'
        answer = ask(app, "POST", path, body, Content_Type="application/json")
        tally.note(answer.status == 413, f"64 MiB to {path}: {answer.status}")
        answer = ask(app, "POST", path, iter([body[: 1 << 20]] * 64), Content_Type="application/json")
        tally.note(answer.status in (413, 422), f"64 MiB without a length to {path}: {answer.status}")
    left = [path for path in cache.rglob("*") if path.is_file() and path not in before]
    tally.wrong += [f"{path.stat().st_size} bytes of a refused upload stay" for path in left]
    return tally


def slow_uploads(app: RunningApp, count: int) -> Tally:
    """Begin uploads that never end; right is that others are answered meanwhile, and that nothing stays on the disk."""
    tally, cache = Tally(), app.folder / "cache" / "web"
    before = {path for path in cache.rglob("*") if path.is_file()}
    connections = [send_slowly(app) for _ in range(count)]
    for _ in range(3):
        for connection in connections:
            connection.sendall(b"x")
        tally.note(ask(app, "GET", "/config").status == 200, "the page was not answered")
        tally.note(upload(app, "quick.txt", b"1").status == 200, "another upload was not taken")
    for connection in connections:
        connection.close()
    end = time.monotonic() + 60
    left: set[Path] = set()
    while time.monotonic() < end:
        left = {path for path in cache.rglob("*") if path.is_file() and path.name != "quick.txt"} - before
        if not left:
            break
        time.sleep(0.1)
    tally.tried += count
    tally.wrong += [f"{path.stat().st_size} bytes of an upload that was given up stay" for path in left]
    return tally
