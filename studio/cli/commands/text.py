"""``studio text``: everything about adapters of language models; one file per subcommand."""

import argparse

import studio.cli.text_commands
from studio.cli.command import Command
from trainers.registry import discover


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="text_command", required=True, metavar="COMMAND")
    for command in discover(studio.cli.text_commands, "COMMAND").values():
        subparser = commands.add_parser(command.name, help=command.help, description=command.help)
        command.add_arguments(subparser)
        subparser.set_defaults(run_text=command.run, loads=command.loads)


def _run(options: argparse.Namespace) -> int | None:
    return options.run_text(options)


COMMAND = Command(
    "text", "Train, chat with, compare and look at adapters of language models.", _add_arguments, _run, loads=False
)
