"""What a command's file states, and the options that several commands share."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines.samplers import AUTO, sampler_names
from studio.cli.parser import OldName
from studio.library.library import ENVIRONMENT_VARIABLE, Library, open_library


@dataclass(frozen=True)
class Command:
    """One subcommand."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]
    """Returns the exit code; nothing means 0."""
    loads: bool = True
    """Whether it loads torch and the model libraries before it can say anything, which takes seconds."""


def add_library(parser: argparse.ArgumentParser) -> None:
    """Add ``--library``."""
    parser.add_argument(
        "--library",
        metavar="FOLDER",
        help=f"folder of adapters and runs (else {ENVIRONMENT_VARIABLE}, else the user's data folder)",
    )


def add_base(parser: argparse.ArgumentParser) -> None:
    """Add ``--base``, ``--device`` and ``--precision``."""
    parser.add_argument(
        "--base",
        default="pocket",
        help="base model: pocket (default), a folder in diffusers layout, a hub id",
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument("--precision", default="auto", help="auto (default), fp32, bf16 or fp16")


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add the options of sampling."""
    steps = parser.add_argument("--num-inference-steps", type=int, default=20, help="sampling steps (default 20)")
    scale = parser.add_argument(
        "--guidance-scale", type=float, default=5.0, help="strength of guidance, 1 is off (default 5)"
    )
    for action, old in ((steps, "--steps"), (scale, "--guidance")):
        add_old_name(parser, action, old)
    parser.add_argument(
        "--sampler",
        default=AUTO,
        help=f"how noise becomes a picture: {', '.join(sampler_names())} (default {AUTO}: the base's own)",
    )
    parser.add_argument("--negative-prompt", default="", help="what the picture should keep away from")


def add_old_name(parser: argparse._ActionsContainer, action: argparse.Action, old: str) -> None:
    """Take an option under the name that it had before too; help says the new one alone."""
    kind: Any = action.type
    hidden = argparse.SUPPRESS
    before: Any = parser.add_argument(old, action=OldName, dest=action.dest, type=kind, default=hidden, help=hidden)
    before.present = action.option_strings


def library_of(options: argparse.Namespace) -> Library:
    """Return the library that the options name."""
    return open_library(options.library)
