"""The options that several subcommands of ``studio text`` share."""

import argparse
import sys
from collections.abc import Iterable

from studio.cli.command import add_library, add_old_name


def add_text_base(parser: argparse.ArgumentParser) -> None:
    """Add ``--base``, ``--device``, ``--precision``, ``--trust-remote-code`` and ``--library``."""
    parser.add_argument(
        "--base", default="pocket-lm", help="base model: pocket-lm (default), a folder, a hub id (or ID@REVISION)"
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument(
        "--precision", default="auto", metavar="{auto,fp32,bf16,fp16}", help="of the frozen base (default auto)"
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run Python code that the base brings")
    add_library(parser)


def say_notes(notes: Iterable[str]) -> None:
    """Tell what is passed over, where it does not get into what the command gives."""
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Add the options of writing a text."""
    parser.add_argument("--temperature", type=float, default=0.0, help="0 (default) takes the likeliest token")
    parser.add_argument("--top-p", type=float, default=1.0, help="draw from the likeliest of this probability only")
    parser.add_argument("--seed", type=int, default=0, help="seed of the drawing (default 0; -1 draws one)")
    longest = parser.add_argument(
        "--max-new-tokens", type=int, default=256, help="longest answer in tokens (default 256)"
    )
    add_old_name(parser, longest, "--maximum-tokens")
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end at this text; repeatable")
    parser.add_argument("--system", default="", metavar="TEXT", help="what stands before the chat")
    parser.add_argument("--plain", action="store_true", help="go on with the prompt itself, without the chat template")
