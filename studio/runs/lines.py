"""A line between two processes: messages of plain values, and word at once when the other end is gone."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any


class Line:
    """A connected socket that carries a JSON object per line. The system closes it when a process dies, however."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(None)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._stream = connection.makefile("r", encoding="utf-8")

    def send(self, **values: Any) -> None:
        """Send one message; to an end that is gone it is lost, which that line's listener is told of."""
        with contextlib.suppress(OSError):
            self._connection.sendall(json.dumps(values).encode() + b"\n")

    def receive(self) -> Mapping[str, Any] | None:
        """Wait for one message; None when the other end is gone."""
        try:
            text = self._stream.readline()
            return dict(json.loads(text)) if text.endswith("\n") else None
        except (OSError, ValueError):
            return None

    def listen(self, heard: Callable[[Mapping[str, Any] | None], None]) -> None:
        """Let a thread tell every message to come, and None at the end."""

        def run() -> None:
            while (message := self.receive()) is not None:
                heard(message)
            heard(None)

        threading.Thread(target=run, daemon=True).start()

    def close(self) -> None:
        """End it; the other end is told."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def open_server(host: str) -> socket.socket:
    """Listen on a free port of this machine, under the address by which others know it.

    Raises:
        OSError: the name is not known here.
    """
    family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family)
