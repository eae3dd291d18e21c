"""What an attacker sends: raw requests, events of the page without the page, and a place that notes who calls it."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .running_app import RunningApp


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(app: RunningApp, method: str, path: str, body: bytes | Iterable[bytes] = b"", **headers: str) -> Answer:
    """Send one request as it is; underscores in the names of headers become hyphens.

    Args:
        body: an iterable is sent in pieces, without saying before how long it is.
    """
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=120)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            connection.request(
                method, path, body or None, {key.replace("_", "-"): value for key, value in headers.items()}
            )
        answer = connection.getresponse()
        return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def ask_raw(app: RunningApp, request: str) -> int:
    """Send bytes that no client library would, and return the status."""
    with socket.create_connection(("127.0.0.1", app.port), timeout=60) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        return int(connection.makefile("rb").readline().split()[1])


def send_slowly(app: RunningApp) -> socket.socket:
    """Begin an upload of a gigabyte, and leave it to the caller to go on with it."""
    connection = socket.create_connection(("127.0.0.1", app.port), timeout=60)
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nContent-Length: {1 << 30}\r\n"
        "Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
        '--edge\r\nContent-Disposition: form-data; name="files"; filename="slow.bin"\r\n\r\n'
    )
    connection.sendall(head.encode())
    return connection


def config_of(app: RunningApp) -> dict[str, Any]:
    """Return what Gradio tells every page of all components and events, the private ones too."""
    return dict(json.loads(ask(app, "GET", "/config").body))


def fire(app: RunningApp, calls: Sequence[tuple[int, list[Any]]], session: str) -> list[dict[str, Any]]:
    """Fire events by number with any values, and return the last message of each that was taken in."""
    waiting = set()
    for number, values in calls:
        message = {"fn_index": number, "data": values, "session_hash": session, "trigger_id": None, "event_data": None}
        answer = ask(
            app, "POST", "/gradio_api/queue/join", json.dumps(message).encode(), Content_Type="application/json"
        )
        if answer.status == 200:
            waiting.add(json.loads(answer.body)["event_id"])
    return _messages(app, session, waiting) if waiting else []


def _messages(app: RunningApp, session: str, waiting: set[str]) -> list[dict[str, Any]]:
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=300)
    connection.request("GET", f"/gradio_api/queue/data?session_hash={session}")
    stream = connection.getresponse()
    try:
        while waiting and (line := stream.readline()):
            if not line.startswith(b"data:"):
                continue
            message = json.loads(line[5:])
            if message["msg"] in ("process_completed", "close_stream", "unexpected_error"):
                found.append(message)
                waiting.discard(message.get("event_id"))
            elif message["msg"] in ("process_generating", "process_streaming"):
                found.append(message)
    finally:
        connection.close()
    assert not waiting, f"{len(waiting)} requests were never answered"
    return found


@dataclass
class Trap:
    """A server that counts who connects to it."""

    callers: list[Any] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> "Trap":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, caller = self._listener.accept()
            except OSError:
                return
            self.callers.append(caller)
            connection.close()
