"""The queue and its scheduler: order that survives, ends of every sort, requests; with real processes at toy size."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.app.runs.panel import nearest
from studio.library.library import Library
from studio.runs.queue import RunQueue, Scheduler, ask_run, is_starting, kill_run, lane, stop_run
from studio.runs.run import Run, create_run
from studio.runs.watch import RunRow, find_row, first_row, run_rows
from trainers.config import parse_config
from trainers.errors import UserError
from trainers.storage import folder_lock


@pytest.fixture
def own(tmp_path: Path) -> Library:
    return Library(tmp_path / "own")


@pytest.fixture
def make(own: Library, tiny_base: Path, pictures: Path) -> Callable[..., Run]:
    """Make a run of toy size; nothing starts it yet."""

    def make_one(name: str, **values: Any) -> Run:
        usual = {"base": str(tiny_base), "data": str(pictures), "device": "cpu", "batch_size": 1, "steps": 2}
        more = {"sample_prompts": ["a red boat"], "parts": {"unet": {}}, "judge": "none"}
        return create_run(own, parse_config({**usual, **more, "name": name, **values}))

    return make_one


def until(true: Callable[[], object], scheduler: Scheduler | None = None) -> None:
    """Wait until something is so; a test that waits for ever is ended from outside."""
    while not true():
        if scheduler is not None:
            scheduler.tick()
        time.sleep(0.05)


def row_of(library: Library, name: str) -> RunRow:
    row = find_row(run_rows(library, RunQueue(library)), name)
    assert row is not None
    return row


def steps_of(run: Run) -> list[int]:
    path = run.folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["step"] for line in lines]


def test_a_page_shows_what_works_else_the_newest() -> None:
    def row(name: str, status: str, updated: str) -> RunRow:
        return RunRow(name, status, 0, 0, 0, "", updated, "images")

    waiting, old, new = (
        row("w", "waiting", "2026-01-01"),
        row("o", "done", "2026-01-02"),
        row("n", "failed", "2026-01-03"),
    )
    assert first_row([waiting, new, old]) == new
    works = row("r", "running", "2026-01-01")
    assert first_row([works, waiting, new, old]) == works
    assert first_row([works, waiting, new, old], shown="n") == new  # it failed, and nobody may have seen it yet
    assert first_row([works, waiting, new, old], shown="o") == works
    assert first_row([]) is None
    assert [nearest([0, 40, 100], place) for place in (0, 19, 21, 69, 71, 500)] == [0, 0, 40, 40, 100, 100]
    assert nearest([], 7) == 0


def test_order_is_on_disk_and_can_be_changed(own: Library, make: Callable[..., Run]) -> None:
    for name in "abc":
        make(name)
        RunQueue(own).add(name)
    assert RunQueue(own).waiting() == ["a", "b", "c"]
    RunQueue(own).move("c", -1)
    RunQueue(own).move("a", 99)
    assert RunQueue(Library(own.folder)).waiting() == ["c", "b", "a"]
    RunQueue(own).remove("b")
    own.remove_run("a")
    assert RunQueue(own).waiting() == ["c"]
    with pytest.raises(UserError, match="waits in the queue already"):
        RunQueue(own).add("c")
    with pytest.raises(UserError, match="'b' does not wait"):
        RunQueue(own).move("b", 1)
    with pytest.raises(UserError, match="unknown"):
        RunQueue(own).add("a")
    with pytest.raises(UserError, match="does not work now; it is created"):
        stop_run(own, "b")
    places = [(row.name, row.status, row.place) for row in run_rows(own, RunQueue(own))]
    assert places == [("c", "waiting", 1), ("b", "created", 0)]


def test_runs_work_one_after_another_are_stopped_killed_and_resumed(own: Library, make: Callable[..., Run]) -> None:
    queue = RunQueue(own)
    scheduler = Scheduler(own, queue)
    long = make("long", steps=100_000, checkpoint_every=100_000)
    short = make("short")
    queue.add("long")
    queue.add("short")
    scheduler.tick()
    assert queue.waiting() == ["short"]  # one at a time on the CPU
    assert is_starting(long)
    assert row_of(own, "long").status == "starting"
    assert Scheduler(own, queue)._working() == ["long"]  # as an app that was started again sees it
    until(lambda: len(steps_of(long)) > 1, scheduler)
    row = row_of(own, "long")
    assert row.status == "running"
    assert row.step > 0  # though no checkpoint has been written
    ask_run(own, "long", "save")
    ask_run(own, "long", "sample")
    until(lambda: list(long.checkpoints.glob("step-*")) and len(list((long.folder / "samples").glob("*.png"))) > 1)
    stop_run(own, "long")
    assert row_of(own, "long").status in ("stopping", "stopped")
    until(lambda: long.status() == "stopped", scheduler)
    stopped_at = long.state()["step"]
    assert steps_of(long)[-1] == stopped_at

    until(lambda: short.status() == "done", scheduler)  # it came next by itself
    assert own.names() == ["short"]

    queue.add("long")
    until(lambda: steps_of(long)[-1] > stopped_at + 1, scheduler)
    assert steps_of(long) == list(range(1, steps_of(long)[-1] + 1))  # it went on where it was
    kill_run(own, "long")
    until(lambda: not scheduler._started, scheduler)
    assert long.status() == "stopped"  # it was meant, so it is no failure
    assert long.state()["problem"] is None


def test_a_killed_process_is_told_with_its_signal_and_an_unseen_one_as_interrupted(
    own: Library, make: Callable[..., Run]
) -> None:
    queue = RunQueue(own)
    scheduler = Scheduler(own, queue)
    run = make("style", steps=100_000)
    for status, watched in (("failed", True), ("interrupted", False)):
        queue.add("style")
        scheduler.tick()
        before = len(steps_of(run))
        until(lambda: run.status() == "running")
        until(lambda seen=before: len(steps_of(run)) > 0 and (len(steps_of(run)) != seen))
        process = scheduler._started["style"]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        if watched:
            scheduler.tick()
            assert "SIGKILL" in row_of(own, "style").problem
            assert "Resume it" in row_of(own, "style").problem
        row = row_of(own, "style")
        assert (row.status, row.startable) == (status, True)


def test_a_run_that_cannot_begin_says_why(own: Library, make: Callable[..., Run], tmp_path: Path) -> None:
    queue = RunQueue(own)
    scheduler = Scheduler(own, queue)
    gone = make("gone", data=str(tmp_path / "pictures"))
    broken = make("broken")
    (broken.folder / "config.yaml").write_text("kind: pictures\nstepz: 3\n")
    (tmp_path / "pictures").rename(tmp_path / "moved")
    for run in (gone, broken):
        queue.add(run.name)
        until(lambda run=run: run.status() == "failed" and not scheduler._started, scheduler)
    assert str(tmp_path / "pictures") in row_of(own, "gone").problem
    assert "stepz" in row_of(own, "broken").problem
    assert row_of(own, "gone").startable


def test_of_two_schedulers_on_a_library_one_works(own: Library, make: Callable[..., Run]) -> None:
    import threading

    make("style")
    schedulers = [Scheduler(own, RunQueue(own), pause_seconds=0.05) for _ in range(2)]
    threads = [threading.Thread(target=scheduler.run_forever) for scheduler in schedulers]
    for thread in threads:
        thread.start()
    RunQueue(own).add("style")
    seen = set()
    try:
        run = Run(own.runs_folder / "style", own)
        while run.status() != "done":
            seen |= {number for number, scheduler in enumerate(schedulers) if scheduler._started}
            assert run.status() != "failed", run.state()
            time.sleep(0.05)
        assert len(seen) == 1
        until(lambda: not any(scheduler._started for scheduler in schedulers))
    finally:
        for scheduler in schedulers:
            scheduler.close()
        for thread in threads:
            thread.join()


def test_a_scheduler_gives_way_to_one_in_another_process(own: Library, make: Callable[..., Run]) -> None:
    import threading

    make("style")
    RunQueue(own).add("style")
    place = own.folder / "queue" / "scheduler"
    place.mkdir(parents=True)
    scheduler = Scheduler(own, RunQueue(own), pause_seconds=0.05)
    with folder_lock(place):
        thread = threading.Thread(target=scheduler.run_forever)
        thread.start()
        time.sleep(0.8)
        assert RunQueue(own).waiting() == ["style"]
    scheduler.close()
    thread.join()


def test_each_device_has_a_lane_of_its_own() -> None:
    assert lane("cpu") == "cpu"
    assert lane("cuda") == lane("cuda:0") == "cuda:0"
    assert lane("cuda:1") == "cuda:1"
    assert lane("auto") in ("cpu", "cuda:0")
