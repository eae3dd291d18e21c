"""``studio text preview``: rows as the model will see them, with what is not learned from in grey."""

import argparse
import os
import sys

from studio.cli.command import Command
from studio.cli.text_options import add_text_base
from trainers.stages import stage_names
from trainers.wording import count_of

_GREY, _PLAIN = "\033[90m", "\033[0m"
_BAR = 40


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, metavar="PATH", help="file of texts, or folder with train.jsonl")
    parser.add_argument(
        "--rows", type=int, default=3, metavar="N", help="rows to show, of pairs both answers (default 3)"
    )
    stages = f"{{{','.join(stage_names())}}}"
    parser.add_argument("--stage", default="sft", metavar=stages, help="what the rows are for (default sft)")
    parser.add_argument("--max-length", type=int, help="longest example in tokens")
    parser.add_argument("--whole-chat", action="store_true", help="learn from the questions too")
    parser.add_argument("--colour", choices=("auto", "always", "never"), default="auto", help="grey (default auto)")
    add_text_base(parser)


def _run(options: argparse.Namespace) -> None:
    from studio.operations.text_preview import preview_texts  # torch and the model libraries

    values = {
        "base": options.base,
        "data": options.data,
        "stage": options.stage,
        "max_length": options.max_length,
        "assistant_only": not options.whole_chat,
        "device": options.device,
        "precision": options.precision,
        "trust_remote_code": options.trust_remote_code,
    }
    preview = preview_texts(values, rows=options.rows)
    for what, found in preview.facts.items():
        print(f"{what}: {found}")
    for note in preview.notes:
        print(f"Note: {note}")
    coloured = _is_coloured(options.colour)
    print("Grey is read and not learned from.\n" if coloured else "What is learned from stands in ⟦ ⟧.\n")
    for row in preview.rows:
        mark = f", {row.mark}" if row.mark else ""
        print(f"{row.where}{mark}: {count_of(row.tokens, 'token')}, {row.trained_tokens} learned from")
        print("".join(_shown(piece.text, piece.trained, coloured) for piece in row.pieces), end="\n\n")
    top = max((count for _, _, count in preview.histogram), default=1)
    for low, high, count in preview.histogram:
        print(f"{low:>6} to {high:>6} tokens {'█' * round(_BAR * count / top):<{_BAR}} {count}")


def _shown(text: str, trained: bool, coloured: bool) -> str:
    if coloured:
        return text if trained else f"{_GREY}{text}{_PLAIN}"
    return f"⟦{text}⟧" if trained else text


def _is_coloured(wish: str) -> bool:
    return wish == "always" or (wish == "auto" and sys.stdout.isatty() and "NO_COLOR" not in os.environ)


COMMAND = Command("preview", "Show rows after the chat template, masked tokens in grey.", _add_arguments, _run)
