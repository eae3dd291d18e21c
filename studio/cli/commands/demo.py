"""``studio demo``: the whole product in small, on the base that ships."""

import argparse
import time

from studio.cli.command import Command
from studio.library.library import Library
from studio.proposals import proposed
from studio.report import Terminal
from trainers.paths import path_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="demo-results", metavar="FOLDER", help="default demo-results")
    parser.add_argument("--steps", type=int, default=120, help="training steps per style (default 120)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")


def _run(options: argparse.Namespace) -> None:
    from studio.operations.demo import BLEND, STYLES, run_demo
    from studio.resources import peak_memory_bytes

    started = time.monotonic()
    out = path_of(options.out)
    with Terminal() as report:
        result = run_demo(out, report, steps=options.steps, device=options.device)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    print()
    print("\n".join(result.table))
    print("(0 % is the base, 100 % the style's own pictures; of the subject, 100 % is the base, by CLIP-T of its noun)")
    print(f"\nDone in {minutes} min {seconds} s, {peak_memory_bytes() / 2**30:.1f} GiB of memory at most.")
    print(f"Look at   {result.grid}")
    print(f"Numbers   {result.scores}")
    library = Library(result.library.folder.resolve())
    print("\nNext:")
    for words in (
        ["generate", "a blue fish, night", "--adapter", f"{STYLES[0]}:0.8", "--out", "fish.png"],
        ["blend", f"{STYLES[0]}:0.6", f"{STYLES[1]}:0.6", "--name", f"{BLEND}-strong"],
        ["train", "--data", "FOLDER_OF_YOUR_PICTURES", "--name", "my-style"],
    ):
        print(f"  {proposed(words, library)}")
    print(f"  {proposed(['app'], library)}    (the same in the browser)")


COMMAND = Command(
    "demo", "Learn two styles on the base that ships, blend them, and draw the comparison.", _add_arguments, _run
)
