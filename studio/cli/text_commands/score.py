"""``studio text score``: what a reward adapter gives answers."""

import argparse

from studio.cli.command import Command, library_of
from studio.cli.text_options import add_text_base, say_notes
from studio.report import Terminal
from trainers.errors import UserError
from trainers.paths import path_of
from trainers.wording import count_of

_ANSWERED = ("preference", "messages", "prompt_completion", "alpaca")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--adapter", required=True, metavar="NAME", help="a reward adapter of the library")
    parser.add_argument("--prompt", metavar="TEXT", help="what the user says")
    parser.add_argument("--answer", action="append", default=[], dest="answers", metavar="TEXT", help="repeatable")
    parser.add_argument(
        "--data", metavar="PATH", help="file of preference pairs or chats, or folder with held_out.jsonl"
    )
    add_text_base(parser)


def _run(options: argparse.Namespace) -> None:
    from studio.operations.text_heads import open_head  # torch and the model libraries
    from trainers.data.passed_over import passed_over
    from trainers.data.texts import HELD_OUT, read_texts

    if bool(options.data) == bool(options.prompt and options.answers):
        raise UserError("Give either --prompt with at least one --answer, or --data.")
    data = read_texts(path_of(options.data), HELD_OUT, _ANSWERED) if options.data else None
    if data is not None and data.form.name not in _ANSWERED:
        raise UserError(f"{data.path} holds {data.form.title}; answers to prompts are needed.")
    say_notes(data.notes() if data is not None else ())
    with (
        Terminal() as report,
        open_head(
            library_of(options),
            options.base,
            options.adapter,
            report,
            kind="reward",
            device=options.device,
            precision=options.precision,
            trust_remote_code=options.trust_remote_code,
        ) as reader,
    ):
        if data is None:
            asked = ({"role": "user", "content": options.prompt},)
            found = reader.score([(asked, answer) for answer in options.answers])
            for value, answer in sorted(zip(found, options.answers, strict=True), key=lambda pair: -pair[0]):
                print(f"{value:+.3f}  {answer}")
        elif data.form.name == "preference":
            found = reader.score([(row.messages, one) for row in data.rows for one in (row.chosen, row.rejected)])
            pairs = list(zip(found[::2], found[1::2], strict=True))
            for row, (chosen, rejected) in zip(data.rows, pairs, strict=True):
                print(f"{chosen:+.3f} {rejected:+.3f}  {row.where}{'' if chosen > rejected else '  wrong way round'}")
            right = sum(chosen > rejected for chosen, rejected in pairs)
            print(f"accuracy: {right / len(pairs):.1%} ({right} of {count_of(len(pairs), 'pair')})")
        else:
            rows = [row for row in data.rows if row.messages[-1]["role"] == "assistant"]
            others = [row.where for row in data.rows if row.messages[-1]["role"] != "assistant"]
            say_notes(passed_over({"chats that do not end in an answer": others}))
            if not rows:
                raise UserError(f"No chat of {data.path} ends in an answer, so there is nothing to rate.")
            found = reader.score([(row.messages[:-1], row.messages[-1]["content"]) for row in rows])
            for row, value in zip(rows, found, strict=True):
                print(f"{value:+.3f}  {row.where}")
            print(f"mean: {sum(found) / len(found):+.3f} over {count_of(len(found), 'answer')}")


COMMAND = Command("score", "Rate answers with a reward adapter.", _add_arguments, _run)
