"""Requests that must not be answered: under another name, from another page, of shut routes, without the password."""

import json
from itertools import product

from .files import MARK, Tally, leaks, path_payloads
from .running_app import RunningApp
from .wire import ask, ask_raw, config_of

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_SENDING = (
    *("/gradio_api/queue/join", "/gradio_api/call/status", "/gradio_api/upload", "/gradio_api/run/status"),
    *("/gradio_api/api/status", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/component_server", "/login"),
)
_READING = ("/", "/config", "/gradio_api/info", "/gradio_api/queue/data?session_hash=x", "/theme.css")
_SHUT = (
    *("/monitoring", "/monitoring/summary", "/gradio_api/mcp/", "/gradio_api/mcp/sse", "/gradio_api/deep_link"),
    *("/gradio_api/vibe-code", "/gradio_api/runs", "/gradio_api/run-history/records", "/docs", "/openapi.json"),
    *("/gradio_api/profiling/summary", "/gradio_api/dev/reload", "/redoc", "/gradio_api/process_recording"),
)
_PRIVATE = (
    *("/config", "/config/", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/upload_progress?upload_id=1"),
    *("/gradio_api/queue/data?session_hash=x", "/monitoring", "/gradio_api/heartbeat/x", "/gradio_api/call/status/1"),
    *(
        "/gradio_api/queue/status",
        "/gradio_api/app_id",
        "/gradio_api/startup-events",
        "/gradio_api/token",
        "/?view=api",
    ),
)


def foreign_names(app: RunningApp) -> Tally:
    """Ask under names and from pages that are not ours; right is a refusal, and an answer to our own."""
    own, port, tally = f"127.0.0.1:{app.port}", app.port, Tally()
    for host in (own, f"LOCALHOST:{port}", f"[::1]:{port}", "localhost"):
        tally.note(ask(app, "GET", "/config", Host=host).status == 200, f"own host {host} was refused")
    hosts = (
        *("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", f"x@{own}", f"0.0.0.0:{port}"),
        *(f"localhost.evil.example:{port}", f"127.1:{port}", f"2130706433:{port}", f"127.0.0.1:{port + 1}", f"{own}."),
        *(f"localhost:{port}@evil.example", f"evil.example#{own}", f" {own} evil.example", "169.254.169.254", "[::]"),
    )
    for host, path in product(hosts, _READING):
        tally.note(ask(app, "GET", path, Host=host).status == 403, f"host {host} at {path}")
    origins = (
        *("null", "http://evil.example", f"http://127.0.0.1:{port + 1}", "http://127.0.0.1", "http://localhost"),
        *(f"http://{own}@evil.example", f"http://{own}.evil.example", "file://", f"http://localhost:{port}"),
        *(f"https://evil.example:{port}", f"http://evil.example/{own}", "", "chrome-extension://abc", "*"),
    )
    for origin, path in product(origins, _READING):
        tally.note(ask(app, "GET", path, Origin=origin).status == 403, f"origin {origin} at {path}")
    tally.note(ask(app, "GET", "/config", Origin=f"HTTP://{own}").status == 200, "the own origin was refused")
    for request, allowed in (
        (f"GET http://evil.example/config HTTP/1.1\nHost: {own}\nConnection: close\n\n", (400, 403, 404)),
        (f"GET /config HTTP/1.1\nHost: {own}\nHost: evil.example\nConnection: close\n\n", (400, 403)),
        (f"GET /config HTTP/1.1\nHost: evil.example\nX-Forwarded-Host: {own}\nConnection: close\n\n", (403,)),
        (f"GET /config HTTP/1.1\nHost: evil.example\nForwarded: host={own}\nConnection: close\n\n", (403,)),
        ("GET /config HTTP/1.0\nConnection: close\n\n", (400, 403)),
    ):
        status = ask_raw(app, request)
        tally.note(status in allowed, f"{request.splitlines()[:3]}: {status}")
    return tally


def other_pages(app: RunningApp) -> Tally:
    """Send what a page of another site can make a browser send; right is that nothing of it is taken in."""
    tally = Tally()
    status = next(event for event in config_of(app)["dependencies"] if event["api_name"] == "status")
    message = json.dumps({"fn_index": status["id"], "data": ["one"], "session_hash": "x"}).encode()
    for kind, path, headers in product(
        ("text/plain", _JSON, _FORM, "multipart/form-data; boundary=edge"),
        _SENDING,
        ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}),
    ):
        answer = ask(app, "POST", path, message, Content_Type=kind, **headers)
        tally.note(answer.status == 403, f"{kind} to {path} from {headers}: {answer.status}")
    plain = ask(app, "POST", "/gradio_api/queue/join", message, Content_Type="text/plain")
    tally.note(plain.status == 422, f"text/plain without an origin: {plain.status}")
    asked = ask(
        app, "OPTIONS", "/gradio_api/queue/join", Origin="http://evil.example", Access_Control_Request_Method="POST"
    )
    tally.note("access-control-allow-origin" not in asked.headers, "another origin is allowed to send")
    for site in ("cross-site", "same-site"):
        for path, kind, right in (
            (f"/gradio_api/file={app.folder}/outputs/1.png", "image", 403),
            ("/", "iframe", 403),
            ("/config", "script", 403),
            ("/config", "document", 403),
            ("/?tab=runs", "document", 200),  # a link to the studio may be followed
        ):
            answer = ask(app, "GET", path, Sec_Fetch_Site=site, Sec_Fetch_Dest=kind)
            tally.note(answer.status == right, f"{kind} {path} from a {site} page: {answer.status}")
    return tally


def shut_routes(app: RunningApp) -> Tally:
    """Ask for what Gradio offers besides the page; right is that it is not there."""
    tally = Tally()
    for path, method in product(_SHUT, ("GET", "POST")):
        body = b"{}" if method == "POST" else b""
        answer = ask(app, method, path, body, Content_Type=_JSON)
        tally.note(answer.status in (403, 404, 405), f"{method} {path}: {answer.status}")
    return tally


def without_password(app: RunningApp) -> Tally:
    """Ask an app that has a password without giving it; right is that only the page that asks for it is there.

    Files with a mark must lie in the library's outputs before.
    """
    tally = Tally()
    pictures = [f"/gradio_api/file={path}" for path in (app.folder / "outputs").glob("*.png")]
    for path, method in product((*_PRIVATE, *pictures), ("GET", "HEAD")):
        answer = ask(app, method, path)
        shut = answer.status in (401, 403, 404, 405) or path.startswith("/?")
        tally.note(shut and MARK not in answer.body, f"{method} {path}: {answer.status}")
    for path in _SENDING:
        if path != "/login":
            answer = ask(app, "POST", path, b"{}", Content_Type=_JSON)
            tally.note(answer.status in (401, 403, 404), f"POST {path}: {answer.status}")
    for payload in path_payloads(app.folder.parent):
        answer = ask(app, "GET", f"/gradio_api/file={payload}".replace(" ", "%20"))
        tally.note(answer.status != 200 and not leaks(answer.body), f"{payload}: {answer.status}")
    first = ask(app, "GET", "/").body
    tally.note(
        str(app.folder).encode() not in first and b"dependencies" not in first, "the first page tells of the app"
    )
    for cookie in ("access-token-unsecure-x=y", "access-token=null", "access-token-unsecure-=", "session=studio"):
        answer = ask(app, "GET", "/config", Cookie=cookie)
        tally.note(answer.status in (401, 403), f"cookie {cookie}: {answer.status}")
    return tally


def enter(app: RunningApp, password: str) -> dict[str, str]:
    """Give the password; return the headers of one who is in, empty when it was refused."""
    answer = ask(app, "POST", "/login", f"username=studio&password={password}".encode(), Content_Type=_FORM)
    if answer.status != 200:
        return {}
    return {"Cookie": answer.headers["set-cookie"].split(";")[0]}
