"""Run by a test: kill the writer of checkpoints at every call that changes the disk; what is found must be whole."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import torch

from tests.forks import forked, hook
from tests.support import bits
from trainers.checkpoint import Checkpoint, newest_checkpoint, write_checkpoint

STEPS = 3


def checkpoint(step: int) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    groups = {name: {"a": torch.randn(5, 3, generator=generator)} for name in ("unet", "optimizer")}
    return Checkpoint(step, groups, {"skipped": step, "threads": 1})


def write_from(folder: Path, first: int) -> None:
    for step in range(first, STEPS + 1):
        write_checkpoint(folder, checkpoint(step), keep=2)
        (folder.parent / "told").write_text(str(step))


def same(found: Checkpoint, expected: Checkpoint) -> bool:
    return {k: bits(v) for k, v in found.groups.items()} == {k: bits(v) for k, v in expected.groups.items()} and dict(
        found.state
    ) == dict(expected.state)


def main(folder: Path) -> dict[str, int]:
    torch.set_num_threads(1)
    calls_path = folder / "calls"
    write_checkpoint(folder / "prepared" / "checkpoints", checkpoint(1), keep=2)
    shutil.copytree(folder / "prepared", folder / "counted")

    def count() -> None:
        hook(lambda number, name: calls_path.write_text(str(number)) and None)
        write_from(folder / "counted" / "checkpoints", 2)

    assert forked(count) == 0
    calls = int(calls_path.read_text())
    killed = whole = late = finished = 0
    for number in range(1, calls + 1):
        place = folder / f"kill-{number}"
        shutil.copytree(folder / "prepared", place)

        def die(place: Path = place, number: int = number) -> None:
            hook(lambda now, name: os.kill(os.getpid(), signal.SIGKILL) if now == number else None)
            write_from(place / "checkpoints", 2)

        killed += os.WIFSIGNALED(forked(die))
        told = int((place / "told").read_text()) if (place / "told").exists() else 0
        found = newest_checkpoint(place / "checkpoints")
        step = found.step if found else 0
        whole += found is None or same(found, checkpoint(step))
        late += step < told
        # A writer that goes on from there ends as one that was never killed, with nothing left lying about.
        forked(lambda place=place, step=step: write_from(place / "checkpoints", step + 1))
        names = sorted(path.name for path in (place / "checkpoints").iterdir())
        last = newest_checkpoint(place / "checkpoints")
        finished += (
            last is not None
            and same(last, checkpoint(STEPS))
            and (names == ["step-00000002", "step-00000003"] or step == STEPS)
        )
        shutil.rmtree(place)
    return {"calls": calls, "killed": killed, "whole": whole, "older_than_told": late, "finished": finished}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
