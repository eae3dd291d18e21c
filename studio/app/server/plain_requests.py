"""Refuses what no program can write down: requests to the app whose JSON holds half of a character, or NUL.

A browser sends neither; a script can. Further in, such a text fails wherever it is first printed, hashed or answered.
"""

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from trainers.data.plain_text import not_plain_in

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SUSPECT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
"""How JSON writes a surrogate or NUL; whole pairs begin so too, and are read."""
_WRITING = ("POST", "PUT", "PATCH")


class PlainRequests:
    """Wraps any ASGI app."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        kinds = [value for key, value in scope.get("headers", ()) if key.lower() == b"content-type"]
        if scope["type"] != "http" or scope["method"] not in _WRITING or not any(b"json" in kind for kind in kinds):
            await self._app(scope, receive, send)
            return
        taken: list[Message] = []
        while not taken or (taken[-1]["type"] == "http.request" and taken[-1].get("more_body")):
            taken.append(await receive())
        if problem := _problem(b"".join(message.get("body", b"") for message in taken)):
            said = f"This request is not plain text ({problem}). Take it out, and send it again."
            head = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 400, "headers": head})
            await send({"type": "http.response.body", "body": said.encode()})
            return
        waiting = iter(taken)

        async def again() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, again, send)


def _problem(body: bytes) -> str:
    if _SUSPECT.search(body):
        try:
            return not_plain_in(json.loads(body))
        except (ValueError, RecursionError):
            return ""  # no JSON: the app says so
    try:
        body.decode()
    except UnicodeDecodeError:
        return "a broken character"
    return ""
