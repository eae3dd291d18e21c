"""``studio remove``: take an adapter and its run out of the library."""

import argparse

from studio.cli.command import Command, add_library, library_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="adapter or run in the library")
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    for line in library_of(options).remove(options.name):
        print(line)


COMMAND = Command("remove", "Remove an adapter and its run from the library.", _add_arguments, _run, loads=False)
