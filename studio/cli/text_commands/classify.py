"""``studio text classify``: call texts by the classes that an adapter learned."""

import argparse
import sys

from studio.cli.command import Command, library_of
from studio.cli.text_options import add_text_base, say_notes
from studio.report import Terminal
from trainers.data.plain_text import plain_text
from trainers.errors import UserError
from trainers.paths import path_of
from trainers.wording import count_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts to call; - reads one a line")
    parser.add_argument("--adapter", required=True, metavar="NAME", help="a classifier of the library")
    parser.add_argument("--data", metavar="PATH", help="file of texts with labels, or folder with held_out.jsonl")
    add_text_base(parser)


def _run(options: argparse.Namespace) -> None:
    from studio.operations.text_heads import open_head  # torch and the model libraries
    from trainers.data.texts import HELD_OUT, read_texts
    from trainers.stages.classify import class_table

    texts = _read_lines() if options.texts == ["-"] else options.texts
    if bool(options.data) == bool(texts):
        raise UserError("Give either texts or --data.")
    data = read_texts(path_of(options.data), HELD_OUT, ("classification", "text")) if options.data else None
    if data is not None and data.form.name not in ("classification", "text"):
        raise UserError(f"{data.path} holds {data.form.title}; texts, with labels or without, are needed.")
    say_notes(data.notes() if data is not None else ())
    with (
        Terminal() as report,
        open_head(
            library_of(options),
            options.base,
            options.adapter,
            report,
            kind="classes",
            device=options.device,
            precision=options.precision,
            trust_remote_code=options.trust_remote_code,
        ) as reader,
    ):
        rows = data.rows if data is not None else ()
        shares = reader.classify([row.text for row in rows] or texts)
        best = shares.argmax(1).tolist()
        if data is None or data.form.name == "text":
            for text, own, number in zip([row.where for row in rows] or texts, shares, best, strict=True):
                print(f"{reader.labels[number]} ({float(own[number]):.0%})  {text}")
            return
        strange = sorted({row.label for row in rows} - set(reader.labels))
        if strange:
            raise UserError(f"{options.adapter!r} knows no class {strange[0]!r}. It knows {', '.join(reader.labels)}.")
        wanted = [reader.labels.index(row.label) for row in rows]
        print("\n".join(class_table(reader.labels, best, wanted)))
        right = sum(one == other for one, other in zip(best, wanted, strict=True))
        print(f"accuracy: {right / len(rows):.1%} ({right} of {count_of(len(rows), 'text')})")


def _read_lines() -> list[str]:
    try:
        lines = [line for line in sys.stdin.read().split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError("The input is not plain text (a broken character). Write it as UTF-8.") from error
    return [plain_text(line, f"Line {number} of the input") for number, line in enumerate(lines, 1)]


COMMAND = Command("classify", "Call texts by the classes that an adapter learned.", _add_arguments, _run)
