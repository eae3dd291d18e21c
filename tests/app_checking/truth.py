"""Close, reload, open twice, restart the app, kill a worker: nothing is lost, and the page says the truth."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator

from playwright.sync_api import Error, Page, expect

from .load import train
from .running_app import RunningApp, wait_until

NAME, NEXT = "long", "next"
WORKING, STOPPED = "working", "stopped, can be resumed"
ENDED = "(interrupted|failed), can be resumed"
"""First the folder tells that no process works on it, then the queue writes down how it ended."""

_SAYS = "(said) => new RegExp(said).test(document.querySelector('#runs-head')?.textContent ?? '')"


def situations(app: RunningApp, new_page: Callable[[], Page]) -> Iterator[tuple[str, float]]:
    """Bring the app into each situation; yield (what, seconds until the page said the truth).

    Raises:
        AssertionError: a page never said the truth, or a run was lost.
    """
    train(app, NAME, 100_000)
    train(app, NEXT, 2)
    page = _open(app, new_page)
    yield "a run is begun", _until(page, WORKING)
    folder = app.library.runs_folder / NAME
    wait_until(lambda: (folder / "metrics.jsonl").exists(), "a first step")

    page.close()
    page = _open(app, new_page)
    yield "the page is closed and opened again", _until(page, WORKING)

    began = time.monotonic()
    page.reload()
    yield "the page is reloaded", _until(page, WORKING, began)

    second = _open(app, new_page)
    yield "a second page is opened", _until(second, WORKING)

    os.kill(_process(app), signal.SIGKILL)
    began = time.monotonic()
    yield "the worker is killed: the first page", _until(page, ENDED, began)
    yield "the worker is killed: the second page", _until(second, ENDED, began)
    expect(page.locator("#runs-head")).to_contain_text("signal 9", timeout=120_000)
    app.wait_for_run(NEXT, "done")  # the queue goes on

    page.get_by_role("button", name="Start or resume").click()
    began = time.monotonic()
    yield "the run is resumed by the first page: the second page", _until(second, WORKING, began)

    process = _process(app)
    app.close(signal.SIGKILL)
    assert _lives(process), "the run ended with the app"
    app.start()
    assert _process(app) == process, "another process works on the run"
    began = time.monotonic()
    with contextlib.suppress(Error):  # a page that has found its app again reloads by itself, perhaps at this moment
        page.reload()
    yield "the app is killed, started again, and the page reloaded", _until(page, WORKING, began)
    yield "the app is killed and started again: a page that stayed open", _until(second, WORKING, began)

    page.get_by_role("button", name="Stop after this step").click()
    began = time.monotonic()
    yield "the run is stopped by the first page: the page itself", _until(page, STOPPED, began)
    yield "the run is stopped by the first page: the page that stayed open", _until(second, STOPPED, began)


def _open(app: RunningApp, new_page: Callable[[], Page]) -> Page:
    page = new_page()
    page.goto(f"{app.url}/?tab=runs")
    return page


def _until(page: Page, state: str, began: float | None = None) -> float:
    """Return the seconds until a page says a state (a regular expression), from now unless given."""
    start = time.monotonic() if began is None else began
    page.wait_for_function(
        _SAYS, arg=f"{NAME} · {state}", timeout=120_000
    )  # looks at every frame, so seconds are right
    return time.monotonic() - start


def _process(app: RunningApp) -> int:
    app.wait_for_run(NAME, "running")
    return int(json.loads((app.library.runs_folder / NAME / "state.json").read_text())["process"])


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
