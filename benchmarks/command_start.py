"""Measure how soon commands answer, each in a process of its own: ``benchmarks/results/command_start.md``.

    python benchmarks/command_start.py [--runs 5] [--output benchmarks/results/command_start.md]

The library holds two LoRAs of the pocket base, random ones, since only the time counts. Files are in the page cache
from the second run on, so the best of the runs is a warm start and the first one a cold one. `generate` is measured to
its first sampling step. Beside the wall clock stands the processor's time, which another program's work changes less.
"""

import argparse
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_STEPS = 40
_MOVED = re.compile(rf"[ |][1-9][0-9]*/{_STEPS} ")
_BARS_SECONDS = {"methods": 1.0, "show one": 1.0, "blend one two": 5.0, "generate, to the first step": 6.0}


@dataclass(frozen=True)
class Timing:
    """One run of a command."""

    wall_seconds: float
    processor_seconds: float


def main() -> int:
    """Measure all commands; print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each command")
    parser.add_argument("--output", type=Path, help="write the table here too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        _fill(library)
        lines = [_line(name, [_timed(name, library, run) for run in range(options.runs)]) for name in _BARS_SECONDS]
    text = "\n".join([*_head(options.runs), *lines, ""])
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    return 0


def _fill(library: Path) -> None:
    """Write two adapters, in a process of its own, so that this one loads nothing."""
    program = (
        "import sys; from pathlib import Path; from pipelines.bases import load_base;"
        "from tests.support import random_adapter; from trainers.adapter import write_adapter;"
        "base = load_base('pocket', device='cpu');"
        "[write_adapter(Path(sys.argv[1]) / 'adapters' / name, random_adapter(base, name, seed=seed))"
        " for seed, name in enumerate(('one', 'two'))]"
    )
    subprocess.run([sys.executable, "-c", program, str(library)], cwd=ROOT, check=True)  # noqa: S603 - our own


def _timed(name: str, library: Path, run: int) -> Timing:
    drawing = ["generate", "a red boat", "--adapter", "one", "--num-inference-steps", str(_STEPS)]
    words = {
        "methods": ["methods"],
        "show one": ["show", "one"],
        "blend one two": ["blend", "one", "two", "--name", f"both-{run}"],
    }.get(name, [*drawing, "--out", str(library / f"drawn-{run}.png")])
    command = [sys.executable, "-m", "studio", *words, *([] if name == "methods" else ["--library", str(library)])]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ours, theirs = os.openpty()  # a bar moves for a terminal; a file gets a line now and then
    termios.tcsetwinsize(theirs, (24, 80))  # a new one has no width, in which no bar fits
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs) as process:  # noqa: S603
        os.close(theirs)
        said, first_step = _heard(ours)
    os.close(ours)
    if process.returncode != 0:
        raise SystemExit(f"studio {' '.join(words)} failed:\n{said}")
    if name.startswith("generate") and first_step is None:
        raise SystemExit(f"No sampling step was seen in:\n{said}")
    wall_seconds = (first_step if name.startswith("generate") and first_step else time.monotonic()) - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Timing(wall_seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _heard(terminal: int) -> tuple[str, float | None]:
    """Return all that a command says, and when its bar left 0."""
    said, first_step = "", None
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            return said, first_step
        if not piece:
            return said, first_step
        said += piece.decode(errors="replace")
        if first_step is None and _MOVED.search(said):
            first_step = time.monotonic()


def _line(name: str, timings: Sequence[Timing]) -> str:
    wall = [timing.wall_seconds for timing in timings]
    processor = min(timing.processor_seconds for timing in timings)
    bar = _BARS_SECONDS[name]
    met = "yes" if min(wall) <= bar else "no"
    return f"| `studio {name}` | {wall[0]:.1f} | {min(wall):.1f} | {processor:.1f} | {bar:g} | {met} |"


def _head(runs: int) -> list[str]:
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "transformers", "peft"))
    return [
        "# How soon commands answer",
        "",
        f"`python benchmarks/command_start.py --runs {runs}` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}, {versions}. Seconds; the processor's time of "
        "`generate` is that of all its steps.",
        "",
        "| command | first run | best run | best, processor | bar | met |",
        "|---|---|---|---|---|---|",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
