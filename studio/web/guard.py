"""What stands before the app on the network: only our own names and pages are answered.

A page of another site can make a browser send requests here, and by a name that resolves to this machine can even read
the answers (DNS rebinding). So a request whose ``Host`` or ``Origin`` is not one of ours is refused, and nothing that
came in as a file is ever shown as a page.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ACTIVE = (b"text/html", b"image/svg", b"application/xhtml", b"text/xml", b"application/xml")
_FILE_ROUTES = ("/gradio_api/file", "/file")
_ALWAYS: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}


class Guard:
    """Refuses foreign hosts and origins, and adds headers; wraps any ASGI app."""

    def __init__(self, app: App, names: Iterable[str], port: int) -> None:
        self._app = app
        self._hosts = {form for name in names for form in (f"{name}:{port}", name)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = [(key.lower(), value) for key, value in scope["headers"]]
        problem = self._problem(headers)
        if problem:
            await _refuse(scope, send, problem)
            return
        served_file = scope.get("path", "").startswith(_FILE_ROUTES)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_headers(message.get("headers", []), served_file=served_file)
            await send(message)

        await self._app(scope, receive, guarded)

    def _problem(self, headers: Sequence[tuple[bytes, bytes]]) -> str:
        hosts = [value.decode("latin-1").lower() for key, value in headers if key == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return (
                f"The host {', '.join(hosts) or 'none'} is not this studio's. Give it with --name when it is started."
            )
        for key, value in headers:
            if key == b"origin" and urlsplit(value.decode("latin-1").lower()).netloc not in self._hosts:
                return f"The origin {value.decode('latin-1')} is not this studio's page."
        return ""


def _with_headers(headers: Sequence[tuple[bytes, bytes]], *, served_file: bool) -> list[tuple[bytes, bytes]]:
    kept = [(key, value) for key, value in headers if key.lower() not in _ALWAYS]
    kind = next((value for key, value in kept if key.lower() == b"content-type"), b"")
    if served_file and kind.startswith(_ACTIVE):
        kept = [(key, value) for key, value in kept if key.lower() not in (b"content-type", b"content-disposition")]
        kept += [(b"content-type", b"application/octet-stream"), (b"content-disposition", b"attachment")]
    return [*kept, *_ALWAYS.items()]


async def _refuse(scope: Scope, send: Send, problem: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    head = [(b"content-type", b"text/plain; charset=utf-8"), *_ALWAYS.items()]
    await send({"type": "http.response.start", "status": 403, "headers": head})
    await send({"type": "http.response.body", "body": problem.encode()})
