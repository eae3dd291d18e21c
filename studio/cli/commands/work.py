"""``studio work``: do what is left of a run in this process; it is what the app's queue starts."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from studio.cli.command import Command
from studio.library.library import Library
from studio.report import Quiet
from studio.runs.run import CONFIG_NAME, Run, execute
from trainers.errors import UserError


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN_FOLDER", help="folder of the run, LIBRARY/runs/NAME")


def _run(options: argparse.Namespace) -> int:
    folder = Path(options.folder).resolve()
    if not (folder / CONFIG_NAME).is_file():
        raise UserError(f"{folder} is not a run's folder: it holds no {CONFIG_NAME}.")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    run = Run(folder, Library(folder.parent.parent))
    print(f"process {os.getpid()}", file=sys.stderr, flush=True)
    return 0 if execute(run, Quiet(), stop.is_set, requests_stand=True) else 130


COMMAND = Command("work", "Do what is left of a run, as the app's queue does.", _add_arguments, _run, loads=False)
