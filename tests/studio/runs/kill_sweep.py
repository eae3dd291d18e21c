"""Run by a test: kill a training run at every call that changes the disk, resume it, and compare with one never killed.

Every attempt is a fork of this process, which has imported everything and trained nothing: as fresh as a new process,
without its seconds of imports. Prints one JSON object. A stride of 1 tries every call; the tests try a part of them:

    python -m tests.studio.runs.kill_sweep BASE PICTURES NEW_FOLDER '{"steps": 3, "checkpoint_every": 1}' 1
"""

import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from pipelines.bases import load_base
from studio.library.library import Library
from studio.report import Quiet
from studio.runs.kinds.images import work as worker
from studio.runs.run import Run, create_run, execute
from tests.forks import forked, hook
from tests.support import bits
from trainers.adapter import read_adapter
from trainers.checkpoint import newest_checkpoint
from trainers.config import parse_config


def result(folder: Path) -> dict[str, Any]:
    """Everything that a killed and resumed run must have in common with one that was never stopped."""
    library = Library(folder)
    run = Run(library.runs_folder / "style", library)
    adapter = read_adapter(library.find("style"))
    checkpoint = newest_checkpoint(run.checkpoints)
    assert checkpoint is not None
    metrics = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "adapter": {part: bits(content.tensors) for part, content in adapter.parts.items()},
        "checkpoint": {name: bits(group) for name, group in checkpoint.groups.items()},
        "metrics": [{key: value for key, value in line.items() if key != "seconds"} for line in metrics],
        "state": {key: run.state()[key] for key in ("status", "step", "total")},
        "previews": sorted(path.name for path in (library.find("style") / "previews").iterdir()),
        "leftovers": sorted(str(path.relative_to(folder)) for path in folder.rglob(".tmp-*")),
    }


def main(base: str, data: str, folder: Path, settings: dict[str, Any], stride: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    folder.mkdir()
    config = parse_config({"base": base, "data": data, "name": "style", "device": "cpu", **settings})

    def train(place: Path) -> None:
        library = Library(place)
        run = Run(library.runs_folder / "style", library)
        execute(run if (run.folder / "config.yaml").exists() else create_run(library, config), Quiet())

    load_base(base, device="cpu")  # for its imports
    counted = folder / "count"

    def count() -> None:
        hook(lambda number, name: counted.write_text(str(number)) and None)
        train(folder / "whole")

    assert forked(count) == 0
    calls, expected = int(counted.read_text()), result(folder / "whole")
    survived, wrong, slept = 0, [], []
    for number in range(1, calls + 1, stride):
        place = folder / f"killed-{number}"

        def killed(place: Path = place, number: int = number) -> None:
            hook(lambda now, name: os.kill(os.getpid(), signal.SIGKILL) if now == number else None)
            train(place)

        ended = forked(killed)
        if not (os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL):
            slept.append(number)
            continue
        library = Library(place)
        done = Run(library.runs_folder / "style", library).state().get("status") == "done"
        ended = 0 if done else forked(lambda place=place: train(place))
        with contextlib.suppress(Exception):
            found = result(place)
            found.pop("leftovers")
            if ended == 0 and found == {key: value for key, value in expected.items() if key != "leftovers"}:
                survived += 1
                shutil.rmtree(place)
                continue
        wrong.append(number)
    return {
        "calls": calls,
        "kills": len(range(1, calls + 1, stride)),
        "survived": survived,
        "wrong": wrong,
        "not_killed": slept,
        "expected": expected,
    }


if __name__ == "__main__":
    worker._SAMPLES = 1  # one sample picture of 20 steps is enough here
    answer = main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4]), int(sys.argv[5]))
    print(json.dumps(answer))
