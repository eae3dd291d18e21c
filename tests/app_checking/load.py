"""The app under load, and with its processes killed: nothing is mixed up, nothing is lost."""

import hashlib
import json
import os
import random
import signal
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradio_client import Client

from studio.runs.queue import RunQueue

from .running_app import LONGEST_SECONDS, RunningApp, wait_until

DATA = Path(__file__).resolve().parents[2] / "examples" / "styles" / "blueprint"
SMALL = {
    "kind": "images",
    "data": str(DATA),
    "resolution_px": 64,
    "batch_size": 1,
    "judge": "none",
    "device": "cpu",
    "parts": {"unet": {"method": "lora", "settings": {"rank": 2, "targets": ["attention"]}}},
    "sample_prompts": ["a red boat"],
}
"""A run that costs little."""

_PATIENT: dict[str, Any] = {
    "verbose": False,
    "analytics_enabled": False,
    "httpx_kwargs": {"timeout": LONGEST_SECONDS},  # else a client of a busy machine gives up after 5 s
}


@dataclass
class Outcome:
    """What came of many requests at once."""

    pictures: dict[int, str] = field(default_factory=dict)
    """Seed -> hash of the picture."""
    sentences: list[str] = field(default_factory=list)
    without_sentence: list[str] = field(default_factory=list)
    """Errors that say nothing to a user."""
    hung: int = 0

    def wrong(self, serial: dict[int, str]) -> int:
        """Return how many pictures are not those that the same seeds gave alone."""
        return sum(serial[seed] != picture for seed, picture in self.pictures.items())


def draw(app: RunningApp, seed: int, steps: int = 4) -> str:
    """Draw one picture through the endpoint and return the hash of what was downloaded."""
    with tempfile.TemporaryDirectory() as folder:
        client = Client(app.url, download_files=folder, **_PATIENT)
        try:
            pictures = client.predict(f"a boat, number {seed}", {}, seed, steps, api_name="/generate")
            return hashlib.sha256(Path(pictures[0]).read_bytes()).hexdigest()
        finally:
            client.close()


def draw_at_once(app: RunningApp, seeds: range, then: Callable[[], None] = lambda: None) -> Outcome:
    """Let one client for each seed draw at the same time.

    Args:
        then: is called once when all have begun.
    """
    outcome = Outcome()
    clients = [threading.Thread(target=_draw_into, args=(app, seed, outcome), daemon=True) for seed in seeds]
    for client in clients:
        client.start()
    then()
    end = time.monotonic() + LONGEST_SECONDS
    for client in clients:
        client.join(max(0.0, end - time.monotonic()))
        outcome.hung += client.is_alive()
    return outcome


def _draw_into(app: RunningApp, seed: int, outcome: Outcome) -> None:
    try:
        outcome.pictures[seed] = draw(app, seed)
    except Exception as error:
        said = str(error).strip() or repr(error)
        (outcome.sentences if said.endswith(".") else outcome.without_sentence).append(said)


def cancel_storm(app: RunningApp, count: int, dice: random.Random) -> Outcome:
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
        thread.join(LONGEST_SECONDS)
        outcome.hung += thread.is_alive()
    return outcome


def _drawing_event(config: dict[str, Any]) -> tuple[int, list[Any]]:
    """Return the number of the Draw button's event and what stands in its fields."""
    items = {item["id"]: item for item in config["components"]}
    status = next(key for key, item in items.items() if item["props"].get("elem_id") == "generate-status")
    event = next(event for event in config["dependencies"] if status in event["outputs"] and len(event["inputs"]) > 5)
    return event["id"], ["a boat", *(items[key]["props"].get("value") for key in event["inputs"][1:])]


def _begin_and_cancel(
    app: RunningApp, event: int, values: list[Any], number: int, wait: float, outcome: Outcome
) -> None:
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


def _ask(app: RunningApp, path: str, message: dict[str, Any] | None = None) -> bytes:
    body = None if message is None else json.dumps(message).encode()
    request = urllib.request.Request(app.url + path, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=LONGEST_SECONDS) as answer:  # noqa: S310
        return bytes(answer.read())


def train(app: RunningApp, name: str, steps: int) -> str:
    """Queue a small run through the endpoint."""
    client = Client(app.url, **_PATIENT)
    try:
        settings = {**SMALL, "name": name, "steps": steps, "checkpoint_every": 2}
        return str(client.predict(settings, api_name="/train"))
    finally:
        client.close()


def kill_worker(app: RunningApp, name: str) -> float:
    """Kill a run's process; return the seconds until its row says so."""
    app.wait_for_run(name, "running")
    state = json.loads((app.library.runs_folder / name / "state.json").read_text())
    os.kill(state["process"], signal.SIGKILL)
    began = time.monotonic()
    app.wait_for_run(name, "failed", "interrupted")
    return time.monotonic() - began


def wait_for_a_picture(app: RunningApp) -> None:
    """Wait until one more picture is drawn."""

    def count() -> int:
        return sum(1 for _ in (app.folder / "outputs").rglob("*.png"))

    before = count()
    wait_until(lambda: count() > before, "a picture")


def drawing_rows(app: RunningApp, cancels: int, serial: dict[int, str]) -> Iterator[tuple[str, str]]:
    """Draw with many clients, take drawings back, kill the inference process; yield (what, count).

    Args:
        serial: seed -> hash of the picture that it gives alone.
    """
    seeds = range(len(serial))
    yield f"{len(serial)} clients draw at once", _told(draw_at_once(app, seeds), serial)
    storm = cancel_storm(app, cancels, random.Random(0))
    yield f"{cancels} drawings begun and taken back", f"{storm.hung} hung, {len(storm.without_sentence)} refused"
    yield "a picture after that is the same as before", _same(app, serial)

    def kill_inference() -> None:
        wait_for_a_picture(app)
        os.kill(app.inference_process(), signal.SIGKILL)

    killed = draw_at_once(app, seeds, kill_inference)
    yield f"{len(serial)} clients draw, the inference process is killed", _told(killed, serial)
    yield "a picture after the kill is the same as before", _same(app, serial)


def run_rows_under_load(app: RunningApp, serial: dict[int, str]) -> Iterator[tuple[str, str]]:
    """Kill a training worker, and the app with runs in its queue while clients draw; yield (what, count)."""
    train(app, "killed", 100)
    seconds = kill_worker(app, "killed")
    row = app.wait_for_run("killed", "failed", "interrupted")
    yield "a training worker is killed", f"its row says so {seconds:.1f} s later, as {row.status}"
    names = [*(train(app, f"run-{number}", 4) for number in range(3)), "killed"]
    RunQueue(app.library).add("killed")

    def restart() -> None:
        wait_for_a_picture(app)
        app.close(signal.SIGKILL)
        app.start()

    restarted = draw_at_once(app, range(len(serial)), restart)
    cut_off = len(restarted.sentences) + len(restarted.without_sentence)
    yield (
        f"{len(serial)} clients draw, the app is killed and started again",
        f"{len(restarted.pictures)} pictures of which {restarted.wrong(serial)} not their own, {cut_off} cut off by "
        f"the kill, {restarted.hung} hung",
    )
    lost = [name for name in names if app.wait_for_run(name, "done", "failed", "interrupted").status != "done"]
    yield "runs in the queue meanwhile", f"{len(names)}, of which {len(lost)} lost"
    yield "a picture after the restart is the same as before", _same(app, serial)


def _same(app: RunningApp, serial: dict[int, str]) -> str:
    return "yes" if draw(app, 0) == serial[0] else "no"


def _told(outcome: Outcome, serial: dict[int, str]) -> str:
    said = f" ({outcome.without_sentence[0][:200]!r})" if outcome.without_sentence else ""
    return (
        f"{len(outcome.pictures)} pictures of which {outcome.wrong(serial)} not their own, {len(outcome.sentences)} "
        f"told why not, {len(outcome.without_sentence)} errors without a sentence{said}, {outcome.hung} hung"
    )
