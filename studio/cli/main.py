"""The ``studio`` command: one file per subcommand in `studio.cli.commands`, found by itself."""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence

from studio.cli.parser import CommandLineError, CommandParser
from trainers.data.plain_text import not_plain, shown
from trainers.errors import UserError
from trainers.quantiser import hide_quantiser
from trainers.registry import discover
from trainers.seeds import RANDOM_SEED, drawn_seed

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
    for stream in (sys.stdout, sys.stderr):  # file names and models may say what a terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    for number, text in enumerate(given, 1):
        if problem := not_plain(text):
            said = f"Argument {number}, {shown(text)!r}, is not plain text ({problem}). Write it as UTF-8."
            print(f"studio: {said}", file=sys.stderr)
            return 2
    try:
        options = _parsed(given)
    except CommandLineError as error:
        print(f"{error.command}: {error}", file=sys.stderr)
        return 2
    try:
        _refuse_empty(options)
        if not hasattr(options, "several_processes") and "TORCHELASTIC_RUN_ID" in os.environ:
            _refuse_several(options)
        _draw_seeds(options)
        _say_what_takes_seconds(options)
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


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    first = arguments[0] if arguments else ""
    if first.startswith("-") and first not in ("-h", "--help"):
        raise CommandLineError(
            "studio", f"{first} stands before the command. Write it behind, as in: studio generate TEXT {first} …"
        )
    return _parser().parse_args(arguments)


def _refuse_empty(options: argparse.Namespace) -> None:
    """Refuse the empty text, which a script's unset variable leaves, where it would mean the current folder."""
    empty = [name for name in _NAMES_AND_PATHS if getattr(options, name, None) == ""]
    if empty:
        raise UserError(f"{', '.join(empty)} is empty. Give a name or a path.")


def _say_what_takes_seconds(options: argparse.Namespace) -> None:
    """Say at once why nothing is said; on standard error, because standard output may be read by a program."""
    if options.loads and "torch" not in sys.modules:
        print(f"studio {options.command}: loading torch and the model libraries …", file=sys.stderr, flush=True)


def _draw_seeds(options: argparse.Namespace) -> None:
    """Draw the seeds that -1 asks for, and say them; a training draws, keeps and says its own."""
    seed, seeds = getattr(options, "seed", None), getattr(options, "seeds", None)
    if seed == RANDOM_SEED:
        options.seed = drawn_seed(seed)
        print(f"The seed is {options.seed}; give --seed {options.seed} for the same again.", file=sys.stderr)
    if isinstance(seeds, str) and str(RANDOM_SEED) in (given := [text.strip() for text in seeds.split(",")]):
        options.seeds = ",".join(str(drawn_seed(RANDOM_SEED)) if text == str(RANDOM_SEED) else text for text in given)
        print(f"The seeds are {options.seeds}; give --seeds {options.seeds} for the same again.", file=sys.stderr)


def _refuse_several(options: argparse.Namespace) -> None:
    """Refuse to do the same work in every process of a launcher; only training divides it."""
    from studio.runs.launch import launch_of

    processes = launch_of(os.environ).processes
    if processes.count > 1:
        if not processes.is_main:
            sys.exit(2)  # one says it
        raise UserError(f"It works in one process, and {processes.count} were started. Start it without a launcher.")


def _parser() -> argparse.ArgumentParser:
    import studio.cli.commands

    parser = CommandParser(
        prog="studio",
        description="Train, compare and blend small adapters for diffusion models.",
        epilog="'studio COMMAND --help' tells more. 'studio demo' shows everything on the base that ships.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in discover(studio.cli.commands, "COMMAND").values():
        subparser = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run, loads=command.loads)
    return parser
