"""The ``studio`` command: one file per subcommand in `studio.commands`, found by itself."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from trainers.errors import UserError
from trainers.quantiser import hide_quantiser
from trainers.registry import discover

_NAMES_AND_PATHS = (
    *("adapter", "base", "data", "folder", "library", "name", "out", "path", "preview", "recipe"),
    *("target", "tuned", "without"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code.

    0 is success, 2 a mistake in the input (one sentence on standard error), 130 a stop by the user. A bug keeps its
    traceback and exits with 1.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Threads that spin while they wait make torch ten times slower as soon as another program wants the processor. The
    # setting is read when torch is first imported, which commands do later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # bitsandbytes warns, at every start without a GPU, that it found no faster kernel to download.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    hide_quantiser()
    options = _parser().parse_args(arguments)
    try:
        _refuse_empty(options)
        return int(options.run(options) or 0)
    except UserError as error:
        print(f"studio {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as with `studio list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _refuse_empty(options: argparse.Namespace) -> None:
    """Refuse the empty text, which a script's unset variable leaves, where it would mean the current folder."""
    empty = [name for name in _NAMES_AND_PATHS if getattr(options, name, None) == ""]
    if empty:
        raise UserError(f"{', '.join(empty)} is empty. Give a name or a path.")


def _parser() -> argparse.ArgumentParser:
    import studio.commands

    parser = argparse.ArgumentParser(
        prog="studio",
        description="Train, compare and blend small adapters for diffusion models.",
        epilog="'studio COMMAND --help' tells more. 'studio demo' shows everything on the base that ships.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in discover(studio.commands, "COMMAND").values():
        subparser = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser
