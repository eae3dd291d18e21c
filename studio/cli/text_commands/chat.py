"""``studio text chat``: talk to a language model with weighted adapters."""

import argparse
import sys
import time
from typing import Any

from studio.cli.command import Command, library_of
from studio.cli.text_options import add_text_base, add_writing
from studio.library.library import parse_adapters
from studio.report import Terminal
from trainers.data.plain_text import plain_text
from trainers.errors import UserError
from trainers.wording import count_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--adapter", action="append", default=[], dest="adapters", metavar="NAME:WEIGHT", help="may be repeated"
    )
    parser.add_argument("--prompt", metavar="TEXT", help="answer this and end; without it, a chat begins")
    parser.add_argument("--beams", type=int, default=1, help="beginnings searched at once (default 1)")
    add_writing(parser)
    add_text_base(parser)


def _run(options: argparse.Namespace) -> None:
    from studio.operations.text_session import open_text_session  # torch and the model libraries

    weights = parse_adapters(options.adapters)
    if options.prompt is not None and not options.prompt.strip():
        raise UserError("--prompt is empty.")
    if options.plain and options.system:
        raise UserError("--system belongs to a chat, and --plain goes on with the prompt without one. Leave one away.")
    with (
        Terminal() as report,
        open_text_session(
            library_of(options),
            options.base,
            list(weights),
            report,
            device=options.device,
            precision=options.precision,
            trust_remote_code=options.trust_remote_code,
        ) as session,
    ):
        if options.prompt is not None:
            _answer(session, options, weights, _begun(options), options.prompt)
            return
        _talk(session, options, weights)


def _talk(session: Any, options: argparse.Namespace, weights: dict[str, float]) -> None:
    """Answer line after line until the input ends."""
    print("Write a line and press return. An empty line forgets the chat; Ctrl-C stops an answer; Ctrl-D ends.")
    messages = _begun(options)
    while True:
        try:
            asked = plain_text(input("> "), "The line")
        except EOFError:
            print()
            return
        except (UnicodeDecodeError, UserError):
            print("The line is not plain text (a broken character). Write it again, as UTF-8.", file=sys.stderr)
            continue
        if not asked.strip():
            messages = _begun(options)
            continue
        try:
            said = _answer(session, options, weights, messages, asked)
        except UserError as error:
            print(error, file=sys.stderr)
            continue
        if not options.plain:
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]


def _begun(options: argparse.Namespace) -> list[dict[str, str]]:
    return [{"role": "system", "content": options.system}] if options.system else []


def _answer(
    session: Any, options: argparse.Namespace, weights: dict[str, float], before: list[dict[str, str]], asked: str
) -> str:
    from pipelines.text_generate import TextRequest, stream_text

    request = TextRequest(
        prompt=asked,
        messages=() if options.plain else (*before, {"role": "user", "content": asked}),
        plain=options.plain,
        seed=options.seed,
        weights=weights,
        temperature=options.temperature,
        top_p=options.top_p,
        max_new_tokens=options.max_new_tokens,
        stop=tuple(options.stop),
        beams=options.beams,
    )
    started, said, tokens = time.monotonic(), "", 0
    pieces = stream_text(session.attachments, request)
    try:
        for piece in pieces:
            said, tokens = said + piece.text, piece.tokens
            print(piece.text, end="", flush=True)
    except KeyboardInterrupt:
        if options.prompt is not None:
            raise
    finally:
        pieces.close()  # type: ignore[attr-defined]
        print(flush=True)
    seconds = time.monotonic() - started
    print(f"[{count_of(tokens, 'token')}, {tokens / max(seconds, 1e-9):.0f} per second]", file=sys.stderr)
    return said


COMMAND = Command("chat", "Talk to a language model with weighted adapters.", _add_arguments, _run)
