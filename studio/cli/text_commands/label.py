"""``studio text label``: let a judge choose between sampled answers, and write the pairs for training."""

import argparse
from pathlib import Path

from studio.cli.command import Command, add_old_name, library_of
from studio.cli.text_options import add_text_base, say_notes
from studio.library.library import parse_adapters
from studio.proposals import proposed
from studio.report import Terminal
from trainers.errors import UserError
from trainers.paths import path_of
from trainers.rewards import reward_words
from trainers.text_config import POCKET_LANGUAGE, USUAL_BATCH
from trainers.wording import count_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, metavar="PATH", help="file of prompts, or folder with train.jsonl")
    parser.add_argument("--out", required=True, metavar="FILE", help="new .jsonl file of preference pairs")
    parser.add_argument(
        "--reward",
        action="append",
        default=[],
        dest="rewards",
        metavar="NAME[=WHAT][:WEIGHT]",
        help=f"a reward judges; repeatable; there are {', '.join(reward_words())}",
    )
    parser.add_argument("--judge", metavar="MODEL", help="a language model judges: a folder or hub id")
    parser.add_argument("--rubric", metavar="TEXT", help="what the language model is asked; @FILE reads it from a file")
    parser.add_argument(
        "--adapter", action="append", default=[], dest="adapters", metavar="NAME:WEIGHT", help="writes; repeatable"
    )
    parser.add_argument("--answers", type=int, default=2, help="answers to each prompt (default 2)")
    parser.add_argument("--temperature", type=float, default=1.0, help="of the sampling (default 1)")
    longest = parser.add_argument(
        "--max-new-tokens", type=int, default=64, help="longest answer in tokens (default 64)"
    )
    add_old_name(parser, longest, "--maximum-tokens")
    parser.add_argument("--rows", type=int, metavar="N", help="the first N prompts only")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampling (default 0; -1 draws one)")
    add_text_base(parser)


def _run(options: argparse.Namespace) -> None:
    if bool(options.rewards) == bool(options.judge):
        raise UserError("Give either --reward (once or more) or --judge with a language model.")
    if options.rubric and not options.judge:
        raise UserError("--rubric is asked of a language model, and --judge names none.")
    if Path(options.out).suffix != ".jsonl":
        raise UserError(f"--out {options.out} must end with .jsonl.")
    if Path(options.out).exists():
        raise UserError(f"{options.out} exists. Choose another --out.")
    from pipelines.bases import load_text_base  # torch and the model libraries
    from studio.operations.text_label import RUBRIC, judge_by_model, judge_by_reward, label_pairs, write_pairs
    from studio.operations.text_session import open_text_session
    from trainers.data.prompts import prompts_of
    from trainers.data.texts import read_texts
    from trainers.rewards import build_rewards, parse_rewards

    library = library_of(options)
    chosen = [
        one.with_argument(lambda reward, said: str(library.find(said)) if reward.is_adapter else said)
        for one in (parse_rewards(options.rewards) if options.rewards else ())
    ]
    data = read_texts(path_of(options.data))
    say_notes(data.notes())
    rows = prompts_of(data.rows[: options.rows])
    weights = parse_adapters(options.adapters)
    where = {
        "device": options.device,
        "precision": options.precision,
        "trust_remote_code": options.trust_remote_code,
    }
    with (
        Terminal() as report,
        open_text_session(library, options.base, list(weights), report, **where) as session,
    ):
        base = session.attachments.base
        if options.judge:
            model = load_text_base(options.judge, **where)
            judge = judge_by_model(model, _rubric(options.rubric) if options.rubric else RUBRIC)
        else:
            judge = judge_by_reward(build_rewards(chosen, base))  # type: ignore[arg-type]
        found = label_pairs(
            session,
            rows,
            judge,
            weights=weights,
            answers=options.answers,
            temperature=options.temperature,
            max_new_tokens=options.max_new_tokens,
            seed=options.seed,
            on_progress=lambda done, total: report.progress("answering", done, total),
        )
        write_pairs(Path(options.out), found)
    print(
        f"{count_of(len(found.pairs), 'pair')} from {count_of(len(rows), 'prompt')} in {options.out}; "
        f"{count_of(found.same, 'prompt')} got the same answer each time, and in {count_of(found.undecided, 'pair')} "
        "the judge saw no difference."
    )
    size = min(USUAL_BATCH, len(found.pairs))
    words = ["text", "train", "--stage", "dpo", "--data", options.out, "--batch-size", str(size)]
    code = ["--trust-remote-code"] if options.trust_remote_code else []
    name = ["--name", "my-preference"]
    print(f"Train on them: {proposed([*words, *name, *code], library, base=options.base, usual_base=POCKET_LANGUAGE)}")


def _rubric(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The rubric {text[1:]} cannot be read: {error}.") from error


COMMAND = Command("label", "Let a judge choose between sampled answers, for training.", _add_arguments, _run)
