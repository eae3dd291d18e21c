"""Serve the page: on this machine alone unless a password is set, with our guard before it, and nothing sent out."""

import os
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.engine.client import Engine
from studio.library.library import Library
from trainers.errors import UserError

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_PICTURES = {"adapters": "previews", "runs": "samples", "cache/thumbnails": ""}
"""Folders of the library whose pictures the page shows, besides its own outputs; and where inside them they lie."""


@dataclass(frozen=True)
class Address:
    """Where to listen, and who may come."""

    host: str = "127.0.0.1"
    port: int = 7860
    names: Sequence[str] = ()
    """Further names by which the studio is reached."""
    user: str = "studio"
    password: str = ""
    largest_upload: str = "4gb"

    def checked(self) -> "Address":
        """Return the address.

        Raises:
            UserError: it can be reached from other machines and has no password, or the limit of uploads is no size.
        """
        if not re.fullmatch(r"[1-9]\d{0,5}[kmg]b", self.largest_upload):
            raise UserError(
                f"The largest upload is {self.largest_upload!r}, which is no size. Give a number with kb, mb or gb, "
                "such as 4gb."
            )
        if self.host not in ("127.0.0.1", "localhost", "::1") and not self.password:
            raise UserError(
                f"The address {self.host} can be reached by others, so a password is needed: set the environment "
                "variable STUDIO_PASSWORD, or leave --host away to stay on this machine."
            )
        return self


def open_socket(address: Address) -> socket.socket:
    """Bind the address.

    Raises:
        UserError: something else listens there.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # asyncio lets small answers go at once only where TCP is named; else each may wait 40 ms for an acknowledgement
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
        listener.listen(128)  # from here on a browser that comes early waits, and is not refused
    except OSError as error:
        listener.close()
        raise UserError(
            f"The address {address.host}:{address.port} cannot be used: {error.strerror}. Another studio may run "
            "there; choose another with --port."
        ) from error
    return listener


def quiet_environment(library: Library) -> None:
    """Keep Gradio and the hub from sending anything, and uploads inside the library. Before Gradio is imported."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_TEMP_DIR=str(library.folder / "cache" / "web"),
        GRADIO_VIBE_MODE="",
        HF_HUB_DISABLE_TELEMETRY="1",
        DO_NOT_TRACK="1",
    )


def serve(
    library: Library, address: Address, listener: socket.socket, on_ready: Callable[[str], None] = lambda url: None
) -> None:
    """Serve until interrupted.

    Args:
        on_ready: is told the address for the browser as soon as the page can be opened.
    """
    library = Library(library.folder.resolve())  # pictures are shown, and runs told, by whole paths
    quiet_environment(library)
    import uvicorn

    from studio.runs.queue import RunQueue, Scheduler

    engine = Engine(library.folder)
    scheduler = Scheduler(library, RunQueue(library))
    thread = threading.Thread(target=scheduler.run_forever, daemon=True)
    server = uvicorn.Server(
        uvicorn.Config(
            guarded_app(library, engine, address), log_level="warning", ws="none", timeout_graceful_shutdown=1
        )
    )
    _end_jobs_first(server, engine)
    thread.start()
    port = listener.getsockname()[1]
    shown = "127.0.0.1" if address.host in ("127.0.0.1", "localhost") else address.host
    on_ready(f"http://{f'[{shown}]' if ':' in shown else shown}:{port}")
    try:
        server.run(sockets=[listener])
    finally:
        scheduler.close()
        engine.close()


def _end_jobs_first(server: Any, engine: Engine) -> None:
    """Let jobs fail before the server waits for its requests: a request that waits for a job cannot be called off."""
    shut_down = server.shutdown

    async def shutdown(sockets: Sequence[socket.socket] | None = None) -> None:
        engine.close()
        await shut_down(sockets)

    server.shutdown = shutdown


def guarded_app(library: Library, engine: Engine, address: Address) -> Any:
    """Return the whole web application, ready for a server."""
    from studio.app.server.gradio_import import collecting_no_garbage

    with collecting_no_garbage():
        return _guarded_app(library, engine, address)


def _guarded_app(library: Library, engine: Engine, address: Address) -> Any:
    from studio.app.server.gradio_import import building_quickly, import_gradio_quickly
    from studio.app.server.gradio_repairs import repair_gradio

    import_gradio_quickly()
    repair_gradio()
    import gradio as gr
    from fastapi import FastAPI

    from studio.app.page import build_app
    from studio.app.server.entrance import Entrance
    from studio.app.server.guard import Guard
    from studio.app.server.plain_requests import PlainRequests
    from studio.app.server.served_files import ServedFiles
    from studio.app.shared.look import CSS, HEAD, theme

    with building_quickly():
        page, desk = build_app(library, engine)
        page.queue(default_concurrency_limit=8, max_size=200)
    uploads = Path(os.environ["GRADIO_TEMP_DIR"])
    for folder in (desk.outputs, uploads):
        folder.mkdir(parents=True, exist_ok=True)
    pictures = {library.folder / name: inside for name, inside in _PICTURES.items()}
    undocumented: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    app = gr.mount_gradio_app(
        FastAPI(**undocumented),
        page,
        path="/",
        app_kwargs=undocumented,
        server_name=address.host,
        server_port=address.port,
        footer_links=[],
        run_history=False,
        allowed_paths=[str(place) for place in (desk.outputs, *pictures)],
        max_file_size=address.largest_upload,
        show_error=True,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        i18n=desk.words.i18n,
        theme=theme(),
        css=CSS,
        head=HEAD,
    )
    page.has_launched = page.is_running = True  # mounting does not say so, and until then events may read any file
    host = f"[{address.host}]" if ":" in address.host else address.host
    inner = Entrance(app, address.user, address.password, address.port) if address.password else app
    served = ServedFiles((desk.outputs, uploads), pictures)
    return Guard(PlainRequests(inner), {*_LOOPBACK, host, *address.names}, address.port, served.serves)
