"""Two processes on one run, started by the real launcher and by hand: equal to one, stopped, killed and resumed."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.library.library import Library
from studio.report import Quiet
from studio.runs.kinds import run_kinds
from studio.runs.launch import Launch, launch_of
from studio.runs.run import Run, create_run, execute
from studio.runs.team import Team
from tests.support import bits, write_tiny_captioner
from trainers.checkpoint import newest_checkpoint
from trainers.errors import UserError
from trainers.processes import Processes

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
LIMIT_SECONDS = 150


def with_torchrun(*arguments: str) -> subprocess.Popen[str]:
    """Start two processes as a user does."""
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", "-m", "studio"]
    return _start([*launcher, *arguments], ENVIRONMENT)


def by_hand(*arguments: str) -> list[subprocess.Popen[str]]:
    """Start two processes that nobody watches, each with what a launcher tells it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"} for rank in range(2)]
    return [_start(["-m", "studio", *arguments], {**ENVIRONMENT, **place, **rank}) for rank in ranks]


def _start(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process; return its code, and what it said."""
    try:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def wait_for(run: Run, processes: Sequence[subprocess.Popen[str]], steps: int) -> None:
    """Wait until a run has done some steps."""
    metrics, until = run.folder / "metrics.jsonl", time.monotonic() + LIMIT_SECONDS
    while not metrics.exists() or len(metrics.read_text().splitlines()) < steps:
        assert all(process.poll() is None for process in processes), [process.communicate() for process in processes]
        assert time.monotonic() < until
        time.sleep(0.02)


def flags(values: Mapping[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def trained(library: Library) -> dict[str, Any]:
    """Return everything of a run that must not depend on how many processes made it, or on what stopped them."""
    run = Run(library.runs_folder / "it", library)
    checkpoint = newest_checkpoint(run.checkpoints)
    assert checkpoint is not None
    metrics = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "tensors": {name: bits(group) for name, group in checkpoint.groups.items()},
        "adapter": {path.name: path.read_bytes() for path in library.folder.glob("adapters/it/*/*.safetensors")},
        "steps": [line["step"] for line in metrics],
        "loss": torch.tensor([line["loss"] for line in metrics if "loss" in line], dtype=torch.float64),
        "leftovers": [path.name for path in library.folder.rglob(".tmp-*")],
    }


def assert_as_one_process(found: Library, alone: Library) -> None:
    """Compare with one process that saw the same batches: two times the accumulation."""
    two, one = trained(found), trained(alone)
    assert float((two.pop("loss") - one.pop("loss")).abs().max()) < 1e-6
    assert two["steps"] == one["steps"]
    assert two["leftovers"] == one["leftovers"] == []
    for what in ("tensors", "adapter"):  # one batch in each process, so that the sums are of the same two numbers
        assert two[what] == one[what]


def alone(kind: str, folder: Path, values: Mapping[str, Any], stop_after: int | None = None) -> Library:
    library, asked = Library(folder), itertools.count(1)
    run = create_run(library, run_kinds()[kind].parse({"kind": kind, **values, "gradient_accumulation_steps": 2}))
    assert bool(execute(run, Quiet(), lambda: next(asked) == stop_after)) == (stop_after is None)
    return library


def worker_beside(launcher: subprocess.Popen[str], main: int) -> int:
    """Return the launcher's process that is not the main one."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    (other,) = [int(child) for child in children if int(child) != main]
    return other


def test_a_killed_process_ends_the_run_with_a_sentence_and_it_resumes_as_one_process(
    tiny_base: Path, pictures: Path, tmp_path: Path
) -> None:
    given = {"base": tiny_base, "data": pictures, "name": "it", "device": "cpu", "batch_size": 1, "steps": 30}
    values = {name: str(value) for name, value in {**given, "checkpoint_every": 2}.items()}
    library = Library(tmp_path / "two")
    run = Run(library.runs_folder / "it", library)
    launcher = with_torchrun("train", "--library", str(library.folder), *flags(values))
    wait_for(run, [launcher], 3)
    os.kill(worker_beside(launcher, run.state()["process"]), signal.SIGKILL)
    code, out, err = ended(launcher)
    assert code != 0
    assert "2 processes train together, each with the whole base: a step learns from 2 examples." in out
    assert err.count("Process 2 of 2 ended without a word; it was killed, or memory ran out.") == 1
    assert run.status() == "failed"
    assert "go on with --resume" in run.state()["problem"]
    with pytest.raises(UserError, match="begun by 2 processes and 1 came"):
        execute(run, Quiet())

    code, out, err = ended(with_torchrun("train", "--library", str(library.folder), "--resume", "it"))
    assert code == 0, err
    assert "Resuming after step" in out
    assert_as_one_process(library, alone("images", tmp_path / "one", values))


def test_on_texts_a_lost_main_process_is_told_and_a_stop_that_reaches_one_process_stops_both(
    tiny_language: Path, tmp_path: Path
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": f"{n} " * (3 + n)}) + "\n" for n in range(7)))
    # Dropout and rows of unequal length: what a batch meets and how much it counts must not depend on who has it.
    given = {"base": tiny_language, "data": data, "validation": data, "name": "it", "device": "cpu", "batch_size": 1}
    values = {name: str(value) for name, value in {**given, "steps": 5000, "checkpoint_every": 2}.items()}
    library = Library(tmp_path / "two")
    run = Run(library.runs_folder / "it", library)
    first = by_hand("text", "train", f"--library={library.folder}", "--setting=dropout=0.2", *flags(values))
    wait_for(run, first, 3)
    first[0].kill()
    _, (code, out, err) = (ended(process) for process in first)
    assert (code, out) == (2, "")
    assert "Process 1 of 2 (the main one) ended without a word" in err
    assert run.status() == "failed"
    assert run.state()["problem"] in err

    done = len((run.folder / "metrics.jsonl").read_text().splitlines())
    second = by_hand("text", "train", f"--library={library.folder}", "--resume=it")
    wait_for(run, second, done + 2)
    second[1].terminate()
    main, other = (ended(process) for process in second)
    assert main[0] == 130, main[2]
    assert "Stopped after step" in main[1]
    assert other == (0, "", "")
    assert run.status() == "stopped"

    parts = {"language_model": {"settings": {"dropout": 0.2}}}
    assert_as_one_process(library, alone("text", tmp_path / "one", {**values, "parts": parts}, run.state()["step"]))


def test_a_mistake_is_told_once(tiny_language: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": f"number {n}"}) + "\n" for n in range(6)))
    library = Library(tmp_path / "library")
    given = {"base": str(tiny_language), "data": str(data), "name": "taken", "device": "cpu"}
    create_run(library, run_kinds()["text"].parse({"kind": "text", **given}))
    found = [ended(process) for process in by_hand("text", "train", f"--library={library.folder}", *flags(given))]
    assert [code for code, _, _ in found] == [2, 2]
    assert found[0][2].count("There is a run 'taken' already") == 1
    assert found[1][1:] == ("", "")


def test_what_works_in_one_process_is_refused_in_several(tiny_language: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"text": "ab"[n % 2] * n, "label": n % 2}) + "\n" for n in range(1, 9))
    )
    library, two = Library(tmp_path / "library"), Team(Launch(Processes(0, 2), 0, 2))
    given = {"base": str(tiny_language), "data": str(tmp_path / "rows.jsonl"), "device": "cpu", "name": "it"}
    config = run_kinds()["text"].parse({"kind": "text", **given, "stage": "classify", "stage_settings": {"folds": 2}})
    with pytest.raises(UserError, match="Folds are trained on one device"):
        execute(create_run(library, config), Quiet(), team=two)
    says = {
        "kind": "captions",
        "name": "says",
        "data": str(pictures),
        "model": str(write_tiny_captioner(tmp_path / "m")),
    }
    with pytest.raises(UserError, match="trains no adapter, and works in one process"):
        execute(create_run(library, run_kinds()["captions"].parse(says)), Quiet(), team=two)


@pytest.mark.parametrize(
    ("environment", "ranks", "note"),
    [
        ({}, (0, 1), ""),
        ({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, (1, 4), ""),
        ({"RANK": "0", "WORLD_SIZE": "1"}, (0, 1), ""),
        # What `accelerate launch --cpu --num_processes 2` sets, and without several processes.
        ({"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1"}, (0, 1), "started this one alone"),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, (0, 1), ""),
    ],
)
def test_the_launcher_is_read(environment: dict[str, str], ranks: tuple[int, int], note: str) -> None:
    launch = launch_of(environment)
    assert (launch.processes.rank, launch.processes.count) == ranks
    assert note in launch.note
    assert bool(launch.note) == bool(note)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 of WORLD_SIZE=2"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK=x"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_SIZE is 2"),
    ],
)
def test_a_launcher_that_cannot_be_followed_is_refused(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        launch_of(environment)


def test_work_that_is_not_divided_is_refused_under_a_launcher(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from studio.cli.main import main

    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, value)
    assert main(["list"]) == 2
    assert "works in one process, and 2 were started" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit):
        main(["list"])
    assert capsys.readouterr().err == ""


def test_one_process_is_told_what_the_launcher_left_out(
    tiny_language: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from studio.cli.main import main

    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    given = {"base": tiny_language, "data": tmp_path / "rows.jsonl", "name": "it", "device": "cpu", "steps": 1}
    assert main(["text", "train", f"--library={tmp_path / 'library'}", *flags(given)]) == 0
    assert "accelerate launch was asked for several processes and started this one alone" in capsys.readouterr().out
