"""The password, asked before anything else: who has not given it sees one small page and nothing of the studio.

Gradio's own login answers several routes without it, and writes the list of endpoints into its login page.
"""

import asyncio
import html
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from studio.app.shared.locales import language_of, text

App = Callable[..., Awaitable[None]]
_MOST_BYTES = 4096
_SECONDS_PER_WRONG_GUESS = 1.0
_PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Adapter Studio</title><style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
main {{ max-width: 20rem; margin: 15vh auto; padding: 0 1rem; }}
input, button {{ display: block; box-sizing: border-box; width: 100%; padding: 0.5rem; margin: 0.2rem 0 1rem;
  font: inherit; }}
</style></head><body><main><h1>Adapter Studio</h1>
<form method="post" action="{action}">
<p role="alert">{problem}</p>
<label for="username">{user}</label>
<input id="username" name="username" autocomplete="username" required>
<label for="password">{password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<button>{enter}</button></form></main></body></html>
"""


class Entrance:
    """Lets in who has given the password; wraps any ASGI app."""

    def __init__(self, app: App, user: str, password: str, port: int) -> None:
        self._app = app
        self._user, self._password = user.encode(), password.encode()
        self._cookie = f"studio-session-{port}"  # browsers keep cookies by host alone, and hosts have many ports
        self._inside: set[str] = set()
        self._one_guess = asyncio.Lock()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        path = scope["path"].rstrip("/") or "/"
        answer: Response
        if path == "/login" and request.method == "POST":
            answer = await self._enter(request)
        elif request.cookies.get(self._cookie) not in self._inside:
            answer = _page(request, "") if path == "/" else PlainTextResponse("Sign in first.", status_code=401)
        elif path == "/logout":
            self._inside.discard(request.cookies[self._cookie])
            answer = RedirectResponse("/", status_code=303)
            answer.delete_cookie(self._cookie)
        else:
            await self._app(scope, receive, send)
            return
        await answer(scope, receive, send)

    async def _enter(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                return PlainTextResponse("This is too long for a password.", status_code=413)
        form = parse_qs(body.decode("utf-8", errors="replace"))
        by_browser = "text/html" in request.headers.get("accept", "")
        if not await self._knows(form.get("username", [""])[0], form.get("password", [""])[0]):
            problem = _say(request, "wrong")
            return _page(request, problem) if by_browser else JSONResponse({"detail": problem}, status_code=401)
        token = secrets.token_urlsafe(32)
        self._inside.add(token)
        answer: Response = JSONResponse({"success": True})
        if by_browser:
            answer = RedirectResponse(f"/{_query(request)}", status_code=303)
        answer.set_cookie(self._cookie, token, httponly=True, samesite="lax", secure=request.url.scheme == "https")
        return answer

    async def _knows(self, user: str, password: str) -> bool:
        """Compare in constant time, and answer one wrong guess a second however many are made at once."""
        async with self._one_guess:
            right_user = secrets.compare_digest(user.strip().encode(), self._user)
            right = secrets.compare_digest(password.encode(), self._password) and right_user
            if not right:
                await asyncio.sleep(_SECONDS_PER_WRONG_GUESS)
            return right


def _page(request: Request, problem: str) -> Response:
    language = language_of(request.headers.get("accept-language", ""))
    texts = {key: text(language, f"entrance.{key}") for key in ("user", "password", "enter", "wrong")}
    action = html.escape(f"/login{_query(request)}")
    return HTMLResponse(
        _PAGE.format(**texts, language=language, action=action, problem=html.escape(problem)), status_code=401
    )


def _query(request: Request) -> str:
    """Return what the address asked for after the question mark, written anew."""
    asked = urlencode(parse_qsl(request.url.query))
    return f"?{asked}" if asked else ""


def _say(request: Request, key: str) -> str:
    return text(language_of(request.headers.get("accept-language", "")), f"entrance.{key}")
