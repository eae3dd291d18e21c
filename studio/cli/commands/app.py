"""``studio app``: open the studio in the browser."""

import argparse
import os

from studio.cli.command import Command, add_library, library_of
from trainers.errors import UserError


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=7860, help="default 7860")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="a further name by which the studio is reached, such as studio.local; may be repeated",
    )
    parser.add_argument("--user", default="studio", help="user name for the password in STUDIO_PASSWORD")
    parser.add_argument("--largest-upload", default="4gb", metavar="SIZE", help="such as 500mb (default 4gb)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise UserError("The app needs Gradio, which is not installed. Run 'make setup', or see the README on the app.")
    from studio.app.server.server import Address, open_socket, serve

    password = os.environ.get("STUDIO_PASSWORD", "")
    address = Address(
        options.host, options.port, tuple(options.name), options.user, password, options.largest_upload
    ).checked()
    library = library_of(options)
    library.folder.mkdir(parents=True, exist_ok=True)

    def tell(url: str) -> None:
        print(f"The studio is open at {url} (Ctrl-C closes it; runs go on). Library: {library.folder}", flush=True)
        if options.open:
            import webbrowser

            webbrowser.open(url)

    serve(library, address, open_socket(address), tell)


COMMAND = Command("app", "Open the studio in the browser.", _add_arguments, _run, loads=False)
