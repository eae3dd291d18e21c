"""A page of another site in a real browser, and a foreign name that leads here."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from playwright.sync_api import Browser, Request, Response

from .files import Tally
from .running_app import RunningApp

_PAGE = """<!doctype html><title>other</title><body><script>
const studio = %s, call = JSON.stringify({data: ["one"], fn_index: 0, session_hash: "other"});
const soon = (what) => new Promise((done) => { what(done); setTimeout(() => done("nothing"), 5000); });
const element = (name, address) => soon((done) => {
  const made = document.createElement(name);
  made.onload = () => done(/frame|embed/.test(name) ? "answered" : "got"); made.onerror = () => done("refused");
  made[name === "link" ? "href" : "src"] = studio + address; made.rel = "stylesheet"; document.body.append(made);
});
const send = (address, options) => fetch(studio + address, options).then(async (answer) =>
  answer.type === "opaque" ? "answered" : "got " + (await answer.text()).length).catch(() => "refused");
const form = (address, kind) => soon((done) => {
  const frame = document.createElement("iframe"); frame.name = "f" + Math.random(); document.body.append(frame);
  const made = document.createElement("form"); made.method = "post"; made.enctype = kind;
  made.action = studio + address; made.target = frame.name;
  made.innerHTML = "<input name='{&quot;data&quot;:[&quot;one&quot;],&quot;x&quot;:&quot;' value='&quot;}'>";
  document.body.append(made); frame.onload = () => done("answered"); made.submit();
});
const stream = (address) => soon((done) => {
  const made = new EventSource(studio + address); made.onopen = () => done("got"); made.onerror = () => done("refused");
});
Promise.all([
  send("/gradio_api/queue/join", {method: "POST", mode: "no-cors", body: call}),
  send("/gradio_api/call/status", {method: "POST", headers: {"Content-Type": "application/json"}, body: call}),
  send("/gradio_api/run/status", {method: "POST", credentials: "include", body: call}),
  send("/gradio_api/upload", {method: "POST", mode: "no-cors", body: new FormData()}),
  send("/config", {}), send("/config", {mode: "no-cors"}), send("/", {credentials: "include"}),
  form("/gradio_api/queue/join", "text/plain"), form("/gradio_api/call/status", "text/plain"),
  form("/gradio_api/upload", "multipart/form-data"), form("/login", "application/x-www-form-urlencoded"),
  element("img", "/gradio_api/file=%s"), element("iframe", "/"), element("iframe", "/gradio_api/file=%s"),
  element("script", "/config"), element("link", "/theme.css"), element("embed", "/"),
  stream("/gradio_api/queue/data?session_hash=other"), stream("/gradio_api/heartbeat/other"),
  soon((done) => done(navigator.sendBeacon(studio + "/gradio_api/cancel", call) ? "answered" : "refused")),
]).then((found) => { window.found = found; });
</script></body>"""
"""``answered`` is what a page learns of anything that it may not read, a refusal too; ``got`` is something read."""


def another_site(app: RunningApp, browser: Browser) -> Tally:
    """Open a page of another site that tries to use the studio; right is that each request is refused.

    A picture ``1.png`` must lie in the library's outputs.
    """
    tally, picture = Tally(), f"{app.folder}/outputs/1.png"
    studio = "/".join(app.url.split("/")[:3])
    with _served(_PAGE % (json.dumps(studio), picture, picture)) as port, browser.new_context() as context:
        for site in (f"http://127.0.0.1:{port}", f"http://localhost:{port}", f"http://evil.example:{port}"):
            page = context.new_page()
            answers: list[Response] = []
            requests: list[Request] = []
            page.on("response", lambda answer, seen=answers: seen.append(answer))
            page.on("request", lambda request, seen=requests: seen.append(request))
            page.goto(site)
            page.wait_for_function("window.found", timeout=60_000)
            found = page.evaluate("window.found")
            tally.tried += len(found)
            tally.wrong += [f"{site} read number {k}: {what}" for k, what in enumerate(found) if what[:3] == "got"]
            tally.wrong += [
                f"{site}: {answer.url} was answered {answer.status}"
                for answer in answers
                if answer.url.startswith(studio) and answer.status != 403
            ]
            sent = sum(request.url.startswith(studio) for request in requests)
            tally.wrong += [f"{site}: only {sent} requests were sent"] * (sent < len(found))
            page.close()
        page = context.new_page()
        rebound = page.goto(f"http://evil.example:{app.port}/")
        tally.note(rebound is not None and rebound.status == 403, "a foreign name that leads here was answered")
    return tally


@contextmanager
def _served(content: str) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
