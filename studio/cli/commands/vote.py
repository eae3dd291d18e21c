"""``studio vote``: choose blindly between pairs of a drawn grid; the votes are preference pairs for later training."""

import argparse
from typing import get_args

from studio.cli.command import Command
from trainers.errors import UserError
from trainers.paths import path_of
from trainers.wording import count_of

_KEYS = {"l": "left", "r": "right", "t": "tie"}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="the -cells folder that studio compare wrote")
    parser.add_argument("--count", type=int, default=20, help="pairs to vote on (default 20); 0 only shows the tally")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order and the sides (default 0; -1 draws one)")


def _run(options: argparse.Namespace) -> None:
    if options.count < 0:
        raise UserError(f"--count {options.count} must be 0 or more; 0 only shows the tally.")
    folder = path_of(options.folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder. Give the -cells folder that studio compare wrote.")

    from pipelines.compare.index import read_index
    from pipelines.compare.votes import Choice, cast, draw_pair, pairs_to_vote, read_votes, tally
    from pipelines.image_file import png_bytes
    from trainers.storage import write_bytes

    pairs = pairs_to_vote(read_index(folder), read_votes(folder), seed=options.seed)
    shown = folder / "pair.png"
    print(
        f"{count_of(len(pairs), 'pair')} {'is' if len(pairs) == 1 else 'are'} open. "
        f"Keep {shown} open beside this; every answer draws the next pair there."
    )
    for number, pair in enumerate(pairs[: options.count], start=1):
        write_bytes(shown, png_bytes(draw_pair(folder, pair)))
        answer = _ask(f"{number}. {pair.left.prompt!r}: (l)eft, (r)ight, (t)ie, (s)kip, (q)uit? ")
        if answer == "q":
            break
        if answer in _KEYS:
            choice: Choice = next(word for word in get_args(Choice) if word == _KEYS[answer])
            cast(folder, pair, choice)
    shown.unlink(missing_ok=True)
    print(f"{'look':<48} {'wins':>6} {'votes':>6}   95 % interval")
    for look, (wins, count, low, high) in sorted(tally(read_votes(folder)).items(), key=lambda item: -item[1][2]):
        print(f"{look[:48]:<48} {wins:>6g} {count:>6}   {low:.0%} to {high:.0%}")


def _ask(question: str) -> str:
    """Return one of the keys; the end of the input is quitting."""
    while True:
        try:
            answer = input(question).strip().lower()[:1]
        except EOFError:
            return "q"
        if answer in (*_KEYS, "s", "q"):
            return answer


COMMAND = Command("vote", "Choose blindly between pairs of a grid; kept as preference pairs.", _add_arguments, _run)
