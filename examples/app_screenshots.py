"""Pictures of every tab of the app, in both themes and at a phone's width, from the app as it runs.

python examples/app_screenshots.py --out screenshots [--library FOLDER] [--tab NAME …]
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from studio.library import Library
from studio.report import Terminal
from studio.tabs import tabs

VIEWS = {"light": ("light", 1280), "dark": ("dark", 1280), "narrow": ("light", 390)}
"""Name of a view -> theme and width in px."""
STYLES = ("blueprint", "watercolor")
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def main(out: Path, library: Path, names: Sequence[str], settle_seconds: float, locale: str) -> list[Path]:
    """Write ``TAB-VIEW.png`` for every tab and view, and return the paths.

    Args:
        settle_seconds: how long a tab is given to show what it loads.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with running_app(library) as url, chromium() as browser:
        for name in names or tabs():
            for view, (theme, width_px) in VIEWS.items():
                page = browser.new_page(locale=locale, viewport={"width": width_px, "height": 900})
                page.goto(f"{url}/?tab={name}&__theme={theme}")
                page.locator(f"#tab-{name}").wait_for(state="visible", timeout=120_000)
                page.wait_for_timeout(settle_seconds * 1000)
                written.append(out / f"{name}-{view}.png")
                page.screenshot(path=written[-1], full_page=True)
                page.close()
                print(written[-1], flush=True)
    return written


def train_demo_library(folder: Path, steps: int) -> None:
    """Train two of the shipped styles into a library, unless it has them."""
    from studio.resources import example_folder
    from studio.runs import create_run, execute
    from trainers.config import parse_config

    library = Library(folder)
    for style in STYLES:
        if style not in library.names():
            data = str(example_folder(f"styles/{style}"))
            config = parse_config({"data": data, "name": style, "steps": steps, "seed": 1})
            with Terminal() as report:
                execute(create_run(library, config), report)


@contextmanager
def running_app(library: Path) -> Iterator[str]:
    """Run the app on a free port for the length of a block; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "studio", "app", "--port", str(port), "--library", str(library)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command, no shell
    try:
        assert process.stdout is not None
        if "open at" not in process.stdout.readline():
            raise SystemExit("The app did not start; it has said why above.")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium for the length of a block."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("Chromium is needed for screenshots. Install it, for example with: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_QUIET))
        yield browser
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="folder of the pictures")
    parser.add_argument("--library", type=Path, help="a library to show; else two styles are trained for it")
    parser.add_argument("--tab", action="append", default=[], choices=list(tabs()), help="a tab; default all of them")
    parser.add_argument("--steps", type=int, default=30, help="training steps of the two styles (default 30)")
    parser.add_argument("--settle", type=float, default=6.0, help="seconds that a tab is given (default 6)")
    parser.add_argument("--locale", default="en-US", help="language of the browser, such as zh-TW")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if options.library is None:
            train_demo_library(Path(temporary), options.steps)
        main(options.out, options.library or Path(temporary), options.tab, options.settle, options.locale)
