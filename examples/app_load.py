"""Put the app under load and break its processes: what is counted goes into ``examples/results/web.md``.

    python examples/app_load.py [--clients 20] [--cancels 50] [--output examples/results/web.md]

It makes a library of its own in a temporary folder and uses the pocket base. Nothing is timed but the start, so only
that needs an idle machine.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from studio.library import Library
from studio.queue import RunQueue
from studio.run_watch import RunRow, find_row, run_rows

_DATA = Path(__file__).resolve().parent / "styles" / "blueprint"
_LONGEST_SECONDS = 600
"""After so long a request counts as one that hangs."""


@dataclass
class App:
    """One `studio app`, which can be killed and started again on the same library and port."""

    folder: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> float:
        """Start it; return the seconds until it answered with the first page."""
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = int(probe.getsockname()[1])
        self.folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with open(self.folder / "app.txt", "ab") as log:
            command = [sys.executable, "-m", "studio", "app", "--port", str(self.port), "--library", str(self.folder)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        while self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url, timeout=30) as answer:  # noqa: S310
                answer.read()
                return time.monotonic() - began
            time.sleep(0.05)
        raise SystemExit((self.folder / "app.txt").read_text())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self, number: int = signal.SIGINT) -> None:
        """End it, by Ctrl-C or another signal."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait()

    def wait_for_a_picture(self) -> None:
        """Wait until one more picture is drawn."""
        before = self._pictures()
        end = time.monotonic() + _LONGEST_SECONDS
        while self._pictures() == before and time.monotonic() < end:
            time.sleep(0.02)

    def _pictures(self) -> int:
        return sum(1 for _ in (self.folder / "outputs").rglob("*.png"))

    def restart_under_load(self) -> None:
        """Kill it as soon as its work has begun, and start it again."""
        self.wait_for_a_picture()
        self.end(signal.SIGKILL)
        self.start()

    def inference(self) -> int:
        """Return the number of the inference process."""
        assert self.process is not None
        return next(child for child in _children(self.process.pid) if "studio.engine.process" in _command(child))

    def row(self, name: str) -> RunRow | None:
        """Return a run as the page shows it."""
        library = Library(self.folder)
        return find_row(run_rows(library, RunQueue(library)), name)


def _children(process: int) -> list[int]:
    threads = Path(f"/proc/{process}/task").glob("*/children")  # a child belongs to the thread that started it
    return [int(word) for path in threads for word in path.read_text().split()]


def _command(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    return ""


@dataclass
class Outcome:
    """What came of many requests at once."""

    pictures: dict[int, str] = field(default_factory=dict)
    """Seed -> hash of the picture."""
    sentences: list[str] = field(default_factory=list)
    without_sentence: list[str] = field(default_factory=list)
    """Errors that say nothing to a user."""
    hung: int = 0


def draw(app: App, seed: int, steps: int = 4) -> str:
    """Draw one picture through the endpoint and return the hash of what was downloaded."""
    from gradio_client import Client

    with tempfile.TemporaryDirectory() as folder:
        client = Client(app.url, verbose=False, download_files=folder, analytics_enabled=False)
        pictures = client.predict(f"a boat, number {seed}", {}, seed, steps, api_name="/generate")
        return hashlib.sha256(Path(pictures[0]).read_bytes()).hexdigest()


def draw_at_once(app: App, seeds: range, then: Callable[[], None] = lambda: None) -> Outcome:
    """Let one client for each seed draw at the same time.

    Args:
        then: is called once when all have begun.
    """
    outcome = Outcome()
    clients = [threading.Thread(target=_draw_into, args=(app, seed, outcome), daemon=True) for seed in seeds]
    for client in clients:
        client.start()
    then()
    end = time.monotonic() + _LONGEST_SECONDS
    for client in clients:
        client.join(max(0.0, end - time.monotonic()))
        outcome.hung += client.is_alive()
    return outcome


def _draw_into(app: App, seed: int, outcome: Outcome) -> None:
    try:
        outcome.pictures[seed] = draw(app, seed)
    except Exception as error:
        said = str(error).strip()
        (outcome.sentences if said.endswith(".") else outcome.without_sentence).append(said)


def cancel_storm(app: App, count: int, dice: random.Random) -> Outcome:
    """Begin drawings as pages do and take each back after a moment, half by the button's way and half by leaving."""
    config = json.loads(_ask(app, "/config"))
    event, values = _drawing_event(config)
    outcome, threads = Outcome(), []
    for number in range(count):
        thread = threading.Thread(target=_begin_and_cancel, args=(app, event, values, number, dice.random(), outcome))
        thread.start()
        threads.append(thread)
        time.sleep(dice.random() * 0.05)
    for thread in threads:
        thread.join(_LONGEST_SECONDS)
        outcome.hung += thread.is_alive()
    return outcome


def _drawing_event(config: dict[str, Any]) -> tuple[int, list[Any]]:
    """Return the number of the Draw button's event and what stands in its fields."""
    items = {item["id"]: item for item in config["components"]}
    status = next(key for key, item in items.items() if item["props"].get("elem_id") == "generate-status")
    event = next(event for event in config["dependencies"] if status in event["outputs"] and len(event["inputs"]) > 5)
    return event["id"], ["a boat", *(items[key]["props"].get("value") for key in event["inputs"][1:])]


def _begin_and_cancel(app: App, event: int, values: list[Any], number: int, wait: float, outcome: Outcome) -> None:
    session = f"storm-{number}"
    message = {"fn_index": event, "data": values, "session_hash": session, "event_data": None, "trigger_id": None}
    try:
        ticket = json.loads(_ask(app, "/gradio_api/queue/join", message))["event_id"]
        stream = urllib.request.urlopen(f"{app.url}/gradio_api/queue/data?session_hash={session}")  # noqa: S310
        with stream:
            time.sleep(wait)
            if number % 2:
                _ask(app, "/gradio_api/cancel", {"session_hash": session, "fn_index": event, "event_id": ticket})
    except urllib.error.HTTPError as error:
        outcome.without_sentence.append(f"{error.code} {error.reason}")


def _ask(app: App, path: str, message: dict[str, Any] | None = None) -> bytes:
    body = None if message is None else json.dumps(message).encode()
    request = urllib.request.Request(app.url + path, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=_LONGEST_SECONDS) as answer:  # noqa: S310
        return bytes(answer.read())


def train(app: App, name: str, steps: int = 6) -> str:
    """Queue a run through the endpoint."""
    from gradio_client import Client

    client = Client(app.url, verbose=False, analytics_enabled=False)
    settings = {"data": str(_DATA), "name": name, "steps": steps, "device": "cpu", "checkpoint_every": 2}
    return str(client.predict(settings, api_name="/train"))


def wait_for(app: App, name: str, *states: str) -> RunRow:
    """Wait until a run is in one of some states."""
    end = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < end:
        row = app.row(name)
        if row is not None and row.status in states:
            return row
        time.sleep(0.1)
    raise SystemExit(f"The run {name} never became {' or '.join(states)}: {app.row(name)}")


def kill_worker(app: App, name: str) -> tuple[float, RunRow]:
    """Kill a run's process; return the seconds until the page told it, and what it told."""
    wait_for(app, name, "running")
    process = json.loads((Library(app.folder).runs_folder / name / "state.json").read_text())["process"]
    os.kill(process, signal.SIGKILL)
    began = time.monotonic()
    row = wait_for(app, name, "failed", "interrupted")
    return time.monotonic() - began, wait_for(app, name, "failed") if row.status == "interrupted" else row


def facts(clients: int, cancels: int, *, with_runs: bool) -> Iterator[tuple[str, str]]:
    """Do everything; yield (what, count)."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        app = App(Path(folder) / "library")
        try:
            yield "seconds from start to the first page", f"{app.start():.1f}"
            serial = {seed: draw(app, seed) for seed in range(clients)}
            yield from _drawing_facts(app, cancels, serial)
            if with_runs:
                yield from _run_facts(app, serial)
        finally:
            app.end()


def _drawing_facts(app: App, cancels: int, serial: dict[int, str]) -> Iterator[tuple[str, str]]:
    seeds = range(len(serial))
    yield f"{len(serial)} clients at once", _told(draw_at_once(app, seeds), serial)
    storm = cancel_storm(app, cancels, random.Random(0))
    yield f"{cancels} drawings begun and taken back", f"{storm.hung} hung, {len(storm.without_sentence)} refused"
    yield "picture after the storm as before it", _same(draw(app, 0), serial)

    def kill_inference() -> None:
        app.wait_for_a_picture()
        os.kill(app.inference(), signal.SIGKILL)

    yield f"{len(serial)} clients, inference process killed", _told(draw_at_once(app, seeds, kill_inference), serial)
    yield "picture after that as before it", _same(draw(app, 0), serial)


def _run_facts(app: App, serial: dict[int, str]) -> Iterator[tuple[str, str]]:
    train(app, "killed")
    seconds, row = kill_worker(app, "killed")
    told = "with its sentence" if "Resume it" in row.problem else f"but said {row.problem!r}"
    yield "training worker killed", f"told after {seconds:.1f} s, {told}"
    names = [*(train(app, f"run-{number}", 2) for number in range(3)), "killed"]
    RunQueue(Library(app.folder)).add("killed")
    restarted = draw_at_once(app, range(len(serial)), app.restart_under_load)
    yield f"{len(serial)} clients, app killed and started again", _told(restarted, serial)
    lost = [name for name in names if wait_for(app, name, "done", "failed").status != "done"]
    yield "runs in the queue meanwhile", f"{len(names)}, of which {len(lost)} lost"
    yield "picture after that as before it", _same(draw(app, 0), serial)


def _same(picture: str, serial: dict[int, str]) -> str:
    return "yes" if picture == serial[0] else "no"


def _told(outcome: Outcome, serial: dict[int, str]) -> str:
    wrong = sum(serial[seed] != picture for seed, picture in outcome.pictures.items())
    return (
        f"{len(outcome.pictures)} pictures of which {wrong} not their own, {len(outcome.sentences)} told why not, "
        f"{len(outcome.without_sentence)} errors without a sentence, {outcome.hung} hung"
    )


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--cancels", type=int, default=50)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent / "results" / "web.md")
    parser.add_argument("--drawings-only", action="store_true", help="leave out what trains")
    options = parser.parse_args()
    rows = []
    for what, count in facts(options.clients, options.cancels, with_runs=not options.drawings_only):
        print(f"{what}: {count}", flush=True)
        rows.append(f"| {what} | {count} |")
    versions = ", ".join(f"{name} {version(name)}" for name in ("gradio", "gradio_client", "torch"))
    head = (
        "# The app under load\n\n"
        f"`python examples/app_load.py` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}. Every client draws its own prompt and seed on the pocket "
        "base; its picture must be, byte for byte, what the same seed gave alone.\n\n| what | counted |\n|---|---|\n"
    )
    options.output.write_text(head + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
