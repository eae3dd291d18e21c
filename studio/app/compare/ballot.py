"""Blind votes over a drawn comparison, without any component: which pair is next, and how it stands."""

from dataclasses import dataclass, field
from typing import get_args

from pipelines.compare.index import read_index
from pipelines.compare.votes import Choice, Pair, cast, pairs_to_vote, read_votes, tally
from studio.operations.stored_comparisons import DrawnComparison
from trainers.errors import UserError


@dataclass
class Ballot:
    """The votes on one comparison, with the pairs that were skipped in this sitting."""

    comparison: DrawnComparison
    skipped: set[frozenset[str]] = field(default_factory=set)

    def open_pairs(self) -> list[Pair]:
        """Return the pairs that are still to be voted on, always in the same drawn order."""
        folder = self.comparison.cells_folder
        pairs = pairs_to_vote(read_index(folder), read_votes(folder))
        return [pair for pair in pairs if _key(pair) not in self.skipped]

    def vote(self, shown: Pair, answer: str) -> None:
        """Keep the answer for a pair that was shown: left, right, tie, or skip; a second answer for it is dropped.

        Raises:
            UserError: the answer is none of these.
        """
        if answer == "skip":
            self.skipped.add(_key(shown))
            return
        choice: Choice | None = next((word for word in get_args(Choice) if word == answer), None)
        if choice is None:
            raise UserError(f"The answer {answer!r} is none of left, right, tie and skip.")
        if shown in self.open_pairs():
            cast(self.comparison.cells_folder, shown, choice)

    def pictures(self, pair: Pair) -> tuple[str, str]:
        """Return the files of a pair, left and right; their names say nothing of what drew them."""
        folder = self.comparison.cells_folder
        return str(folder / pair.left.file), str(folder / pair.right.file)

    def count(self) -> int:
        """Return how many votes were cast."""
        return len(read_votes(self.comparison.cells_folder))

    def results(self) -> list[list[str]]:
        """Return rows of look, wins, votes and 95 % interval, the best lower end first."""
        found = tally(read_votes(self.comparison.cells_folder))
        return [
            [look, f"{wins:g}", str(count), f"{low:.0%} – {high:.0%}"]
            for look, (wins, count, low, high) in sorted(found.items(), key=lambda item: -item[1][2])
        ]


def _key(pair: Pair) -> frozenset[str]:
    return frozenset((pair.left.file, pair.right.file))
