"""``studio caption``: let a captioning model write captions for a folder of pictures."""

import argparse
import signal
import threading
from pathlib import Path
from types import FrameType

from studio.cli.command import Command, add_library, library_of
from studio.library.datasets import free_run_name
from studio.proposals import proposed
from studio.report import Terminal
from studio.runs.kinds import run_kinds
from studio.runs.run import create_run, discard_unstarted, execute, find_run
from trainers.errors import UserError
from trainers.names import name_of

_KIND = "captions"
_OWN_SHAPE = ("kind", "overwrite")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_library(parser)
    parser.add_argument("--resume", metavar="RUN", help="continue a stopped or killed captioning, by name or folder")
    parser.add_argument("--overwrite", action="store_true", default=None, help="also replace captions that are there")
    for name, field in run_kinds()[_KIND].settings.model_fields.items():
        if name not in _OWN_SHAPE:
            default = "" if field.is_required() or field.default == "" else f" (default {field.default})"
            text = (field.description or "").rstrip(".") + default
            parser.add_argument("--" + name.replace("_", "-"), dest=name, default=None, metavar="VALUE", help=text)


def _run(options: argparse.Namespace) -> int:
    library = library_of(options)
    given = {name: getattr(options, name) for name in run_kinds()[_KIND].settings.model_fields if name != "kind"}
    values = {name: value for name, value in given.items() if value is not None}
    if options.resume is not None:
        if values:
            shown = ", ".join("--" + name.replace("_", "-") for name in values)
            raise UserError(f"--resume goes on with the run's own settings, so {shown} cannot be given beside it.")
        run = find_run(library, options.resume)
    else:
        missing = [f"--{name}" for name in ("data", "model") if name not in values]
        if missing:
            raise UserError(
                f"{' and '.join(missing)} must be given, as in: studio caption --data pictures --model "
                "blip-image-captioning-base."
            )
        values.setdefault("name", free_run_name(library, f"captions-{name_of(Path(values['data']).resolve().name)}"))
        run = create_run(library, run_kinds()[_KIND].parse({"kind": _KIND, **values}))
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Terminal() as report:
            folder = execute(run, report, stop.is_set)
    except UserError:
        if options.resume is None:
            discard_unstarted(run)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if folder is None:
        print(f"Go on with: {proposed(['caption', '--resume', run.name], library)}")
        return 130
    return 0


COMMAND = Command("caption", "Let a captioning model write captions for a folder of pictures.", _add_arguments, _run)
