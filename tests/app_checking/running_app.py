"""The app as its users meet it: a process of its own on a library, which can be closed, killed and started again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from studio.library.library import Library
from studio.runs.queue import RunQueue, kill_run
from studio.runs.watch import RunRow, find_row, run_rows

LONGEST_SECONDS = 600
"""After so long something counts as hanging."""


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningApp:
    """One `studio app` on a library."""

    folder: Path
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None
    seconds_to_first_page: float = 0.0

    @property
    def url(self) -> str:
        """Return the address of the page."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def library(self) -> Library:
        """Return the library that it serves."""
        return Library(self.folder)

    def start(self) -> "RunningApp":
        """Start it and wait until it answers.

        Raises:
            AssertionError: it ended; with what it said.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with open(self.folder / "app.txt", "ab") as log:
            own = ("--port", str(self.port), "--library", str(self.folder), *self.arguments)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "studio", "app", *own],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        while self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url, timeout=30) as answer:  # noqa: S310 - our own address
                    answer.read()
            except urllib.error.HTTPError as error:  # it wants a password
                error.close()
            except OSError:
                time.sleep(0.05)
                continue
            self.seconds_to_first_page = time.monotonic() - began
            return self
        raise AssertionError((self.folder / "app.txt").read_text())

    def close(self, number: int = signal.SIGINT) -> None:
        """End it as Ctrl-C does, or by another signal."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=60)

    def end_runs(self) -> None:
        """Kill what trains; runs outlive the app."""
        queue = RunQueue(self.library)
        for name in queue.waiting():
            queue.remove(name)
        for row in run_rows(self.library, queue):
            if row.works:
                kill_run(self.library, row.name)

    def row(self, name: str) -> RunRow | None:
        """Return a run as the page shows it."""
        return find_row(run_rows(self.library, RunQueue(self.library)), name)

    def wait_for_run(self, name: str, *states: str) -> RunRow:
        """Wait until a run is in one of some states.

        Raises:
            AssertionError: it never was.
        """
        wait_until(lambda: (row := self.row(name)) is not None and row.status in states, f"{name}: {states}")
        row = self.row(name)
        assert row is not None
        return row

    def inference_process(self) -> int:
        """Return the number of the inference process."""
        assert self.process is not None
        return next(child for child in _children(self.process.pid) if "studio.engine.process" in _command(child))

    def memory_mb(self) -> float:
        """Return what the page's process holds in memory, in MiB."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def wait_until(true: Callable[[], bool], what: str) -> float:
    """Wait until something is true; return the seconds.

    Raises:
        AssertionError: it never became true.
    """
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > LONGEST_SECONDS:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


def _children(process: int) -> list[int]:
    threads = Path(f"/proc/{process}/task").glob("*/children")  # a child belongs to the thread that started it
    return [int(word) for path in threads for word in path.read_text().split()]


def _command(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    return ""
