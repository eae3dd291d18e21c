"""Broken files and killed processes: one damaged run takes nothing else down, and nobody waits for ever."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studio.engine.client import Engine
from studio.library.library import Library
from studio.runs.control import note_start, started_process
from studio.runs.queue import RunQueue, Scheduler, kill_run
from studio.runs.run import Run
from studio.runs.watch import find_row, run_rows
from trainers.errors import UserError
from trainers.storage import folder_lock

_DAMAGED = ("", "{", "[]", "[1]", '"text"', "3", "null", '{"status": "flying"}', '{"status": 1}', '{"step": "x"}')


def _write_run(library: Library, name: str, state: str = '{"status": "created"}') -> Run:
    folder = library.runs_folder / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"name: {name}\ndevice: cpu\n")
    (folder / "state.json").write_text(state)
    return Run(folder, library)


@pytest.mark.parametrize("state", _DAMAGED)
def test_a_damaged_run_says_so_and_leaves_the_others_alone(tmp_path: Path, state: str) -> None:
    library = Library(tmp_path)
    queue = RunQueue(library)
    for name in ("bad", "good"):
        _write_run(library, name)
        queue.add(name)
    (library.runs_folder / "bad" / "state.json").write_text(state)

    rows = run_rows(library, queue)
    bad, good = find_row(rows, "bad"), find_row(rows, "good")
    assert bad is not None
    assert bad.status == "broken"
    assert "Delete that file" in bad.problem
    assert good is not None
    assert (good.status, good.place) == ("waiting", 1)
    assert library.remove_run("bad")
    assert queue.waiting() == ["good"]


def test_a_damaged_run_does_not_stop_the_scheduler(tmp_path: Path) -> None:
    library = Library(tmp_path)
    _write_run(library, "bad", "[1]")
    Scheduler(library, RunQueue(library)).tick()
    with folder_lock(library.runs_folder / "bad"):
        assert Scheduler(library, RunQueue(library))._working() == ["bad"]


@pytest.mark.parametrize("content", ["{}", "[1, 2]", '"name"', "{"])
def test_a_damaged_queue_is_told_with_what_to_do(tmp_path: Path, content: str) -> None:
    library = Library(tmp_path)
    _write_run(library, "one")
    (tmp_path / "queue.json").write_text(content)
    with pytest.raises(UserError, match=r"queue\.json"):
        RunQueue(library).add("one")
    assert [row.status for row in run_rows(library, RunQueue(library))] == ["created"]


def test_a_name_that_waits_twice_waits_once(tmp_path: Path) -> None:
    library = Library(tmp_path)
    _write_run(library, "one")
    (tmp_path / "queue.json").write_text(json.dumps(["one", "gone", "one"]))
    assert RunQueue(library).waiting() == ["one"]


def test_a_process_that_ended_unnoticed_does_not_count_as_starting(tmp_path: Path) -> None:
    run = _write_run(Library(tmp_path), "one")
    process = subprocess.Popen([sys.executable, "-c", ""])
    note_start(run.folder, process.pid)
    for _ in range(1000):  # nobody waits for it, so it becomes a zombie
        if started_process(run.folder) is None:
            break
        time.sleep(0.02)
    assert started_process(run.folder) is None
    os.kill(process.pid, 0)
    process.wait()


def test_a_forged_process_number_reaches_nobody(tmp_path: Path) -> None:
    library = Library(tmp_path)
    run = _write_run(library, "one", '{"status": "running", "process": -1}')
    with folder_lock(run.folder):
        kill_run(library, "one")  # as a group it would be every process of the user, this one too
    assert run.state()["status"] == "running"


def test_jobs_of_a_killed_process_fail_though_the_next_is_running(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    first = engine.submit("blends", {})
    os.kill(first.process.pid, signal.SIGKILL)
    while first.process.poll() is None:
        time.sleep(0.001)
    second = engine.submit("blends", {})
    assert second.process is not first.process
    with pytest.raises(UserError, match="signal 9"):
        list(engine.follow(first))
    engine.close()
    with pytest.raises(UserError, match="inference process"):
        list(engine.follow(second))
    with pytest.raises(UserError, match="being closed"):
        engine.submit("blends", {})
