"""What stands before the app on the network: only our own names and pages are answered.

A page of another site can make a browser send requests here, and by a name that resolves to this machine can even read
the answers (DNS rebinding). So a request is refused whose ``Host`` is not one of ours, or which a browser says another
page has sent. Files are handed out by our own rule, never as a page, and our page may load and ask nothing elsewhere.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SHOWN = (b"image/png", b"image/jpeg", b"image/webp")
"""Files that a browser may show by themselves; every other is only ever saved."""
_FILE = "/gradio_api/file="
_NEVER = (
    *("/file", "/proxy", "/monitoring", "/svelte"),
    *(f"/gradio_api/{name}" for name in ("file/", "proxy", "stream", "process_recording", "custom_component", "mcp")),
    *(f"/gradio_api/{name}" for name in ("vibe", "undo-vibe", "dev", "deep_link", "run-history", "runs", "profiling")),
)
"""Routes of Gradio that the studio has no use for; several fetch from elsewhere, write, or tell what goes on."""
_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    b"connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""The page has scripts inside it, so these are allowed; nothing may be loaded from or sent to another place."""
_UPLOAD = "/gradio_api/upload"
_MOST_BYTES = 32 << 20
"""Of any request but an upload, which has a limit of its own."""
_ALWAYS: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",  # by no-referrer a browser calls the origin of our own forms null
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"content-security-policy": _POLICY,
}
_ASSETS = "/assets/"
_KEEP = (b"cache-control", b"public, max-age=31536000, immutable")
"""Gradio's scripts have names that change with their content, and says nothing of how long they may be kept."""
_THIS_MACHINE = ("127.0.0.1", "::1")
"""To clients there nothing is sent compressed, which costs more time than it saves."""
_TOO_LARGE = f"This request is longer than {_MOST_BYTES >> 20} MiB. Send files by an upload instead."
_Headers = Sequence[tuple[bytes, bytes]]


class Guard:
    """Refuses what is foreign, and adds headers; wraps any ASGI app."""

    def __init__(self, app: App, names: Iterable[str], port: int, serves: Callable[[str], bool]) -> None:
        """Wrap an app.

        Args:
            names: by which the studio is reached, without a port.
            serves: (absolute path) -> whether that file may be fetched.
        """
        self._app = app
        self._serves = serves
        self._hosts = {form for name in names for form in (f"{name.lower()}:{port}", name.lower())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = [(key.lower(), value) for key, value in scope["headers"]]
        path = scope.get("path", "")
        problem = self._foreign(scope, headers)
        if problem or not self._offered(path):
            await _refuse(scope, send, problem or "This is not handed out.")
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_headers(message.get("headers", []), served_file=path.startswith(_FILE))
                if path.startswith(_ASSETS) and message["status"] == 200:
                    message["headers"].append(_KEEP)
            await send(message)

        if (scope.get("client") or ("",))[0] in _THIS_MACHINE:
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != b"accept-encoding"]}
        if path.rstrip("/") == _UPLOAD:
            await self._app(scope, receive, guarded)
        else:
            await self._with_limit(scope, headers, receive, guarded, send)

    async def _with_limit(self, scope: Scope, headers: _Headers, receive: Receive, guarded: Send, send: Send) -> None:
        """Let the app answer, unless more is sent to it than any request needs; then refuse in its place."""
        if any(not size.isdecimal() or int(size) > _MOST_BYTES for size in _values(headers, b"content-length")):
            await _refuse(scope, send, _TOO_LARGE, status=413)
            return
        taken, refused = 0, False

        async def counted() -> Message:
            nonlocal taken, refused
            message = {"type": "http.disconnect"} if refused else await receive()
            taken += len(message.get("body", b""))
            if taken > _MOST_BYTES and not refused:
                refused = True
                await _refuse(scope, send, _TOO_LARGE, status=413)
                return {"type": "http.disconnect"}
            return message

        async def unless_refused(message: Message) -> None:
            if not refused:
                await guarded(message)

        await self._app(scope, counted, unless_refused)

    def _foreign(self, scope: Scope, headers: _Headers) -> str:
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return (
                f"The host {', '.join(hosts) or 'none'} is not this studio's. Give it with --name when it is started."
            )
        for origin in _values(headers, b"origin"):
            if urlsplit(origin).netloc != hosts[0]:  # also another port of this machine, where others may serve
                return f"The origin {origin} is not this studio's page."
        if any(site not in ("same-origin", "none") for site in _values(headers, b"sec-fetch-site")):
            opened = scope.get("method") == "GET" and _values(headers, b"sec-fetch-dest") == ["document"]
            if not opened or scope.get("path", "") != "/":  # a link to the studio may be followed
                return "Another page has sent this. Open the studio's own page."
        return ""

    def _offered(self, path: str) -> bool:
        if path.startswith(_FILE):
            return self._serves(path.removeprefix(_FILE))
        return not path.startswith(_NEVER)


def _values(headers: _Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for key, value in headers if key == name]


def _with_headers(headers: _Headers, *, served_file: bool) -> list[tuple[bytes, bytes]]:
    kept = [(key, value) for key, value in headers if key.lower() not in _ALWAYS]
    kind = next((value for key, value in kept if key.lower() == b"content-type"), b"")
    if served_file and not kind.startswith(_SHOWN):
        named = [value for key, value in kept if key.lower() == b"content-disposition" and value[:10] == b"attachment"]
        kept = [(key, value) for key, value in kept if key.lower() not in (b"content-type", b"content-disposition")]
        kept += [(b"content-type", b"application/octet-stream"), (b"content-disposition", (*named, b"attachment")[0])]
    return [*kept, *_ALWAYS.items()]


async def _refuse(scope: Scope, send: Send, problem: str, status: int = 403) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    head = [(b"content-type", b"text/plain; charset=utf-8"), *_ALWAYS.items()]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": problem.encode()})
