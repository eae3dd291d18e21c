"""Measure how soon the app can be used, and how large its page is: ``benchmarks/results/app_start.md``.

    python benchmarks/app_start.py [--starts 3] [--output benchmarks/results/app_start.md]

It starts the app several times on a library of its own, in a temporary folder, with a browser that is open already, and
stops the clock when the first tab's form can be used. The seconds are those of an idle machine only if it is idle; the
seconds of processor time and the counts are the same on a busy one.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Request, sync_playwright

from studio.app.tabs import tabs

_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync")
_SETTLED_SECONDS = 2.0
"""When no event was posted for so long, a tab has opened."""
_LONGEST_SECONDS = 8.0
"""A tab that looks for news by itself, such as Runs, posts events for ever."""


@dataclass(frozen=True)
class Start:
    """One start of the app, in seconds since its process began."""

    answered: float
    usable: float
    processor: float
    """Processor time of the app's own process until the form could be used."""


@contextmanager
def running_app(library: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]", float]]:
    """Give the address of an app that has just been started, its process, and when it was started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "studio", "app", "--port", port, "--library", str(library)]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        yield f"http://127.0.0.1:{port}", process, began
    finally:
        process.terminate()
        process.wait()


def answer(url: str, process: "subprocess.Popen[bytes]") -> bytes:
    """Return what an address answers as soon as it does."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=60) as found:  # noqa: S310 - our own address
                return bytes(found.read())
        except OSError:
            time.sleep(0.01)
    raise SystemExit("the app ended before it answered")


def measure(library: Path, browser: Browser) -> Start:
    """Start the app once and open its first tab."""
    with running_app(library) as (url, process, began):
        answer(url, process)
        answered = time.monotonic() - began
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.locator("#train-add").wait_for(state="visible", timeout=120_000)
        usable = time.monotonic() - began
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        page.close()
    ticks = os.sysconf("SC_CLK_TCK")
    return Start(answered, usable, (int(fields[11]) + int(fields[12])) / ticks)


def counts(library: Path, browser: Browser) -> Iterator[tuple[str, str]]:
    """Yield the page's size, and for each tab what opening it alone costs."""
    with running_app(library) as (url, process, _):
        text = answer(f"{url}/config", process)
        config = json.loads(text)
        yield "components", f"{len(config['components'])}"
        yield "events", f"{len(config['dependencies'])}"
        yield "kB of description", f"{len(text) / 1000:.0f}"
        for name in tabs():
            posted, seconds = opened(browser, f"{url}/?tab={name}")
            yield f"opening {name}: events posted, seconds of script", f"{posted}, {seconds:.1f}"


def opened(browser: Browser, url: str) -> tuple[int, float]:
    """Open a page; return how many events it posted until it came to rest, and how long its thread was busy."""
    posted: list[float] = []

    def note(request: Request) -> None:
        if "/queue/join" in request.url:
            posted.append(time.monotonic())

    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("request", note)
    session: Any = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    began = time.monotonic()
    page.goto(url)
    while time.monotonic() - began < _LONGEST_SECONDS:
        if posted and time.monotonic() - posted[-1] > _SETTLED_SECONDS:
            break
        page.wait_for_timeout(100)
    busy = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
    page.close()
    return len(posted), float(busy["TaskDuration"])


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent / "results" / "app_start.md")
    options = parser.parse_args()
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = playwright.chromium.launch(executable_path=found, args=list(_QUIET))
        starts = [measure(Path(folder), browser) for _ in range(options.starts)]
        rows = [
            ("seconds until it answers", f"{median(start.answered for start in starts):.1f}"),
            ("seconds until the first form can be used", f"{median(start.usable for start in starts):.1f}"),
            ("processor seconds of the app until then", f"{median(start.processor for start in starts):.1f}"),
            *counts(Path(folder), browser),
        ]
        browser.close()
    table = "".join(f"| {what} | {value} |\n" for what, value in rows)
    print(table, end="")
    head = (
        "# How soon the app can be used\n\n"
        f"`python benchmarks/app_start.py` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}, gradio {version('gradio')}; median of "
        f"{len(starts)} starts, with a browser that was open.\n\n| what | measured |\n|---|---|\n"
    )
    options.output.write_text(head + table, encoding="utf-8")


if __name__ == "__main__":
    main()
