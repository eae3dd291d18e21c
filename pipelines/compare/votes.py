"""Blind A/B votes over a drawn grid, kept as preference pairs for later training.

Both pictures of a pair have the same prompt, seed and setting and differ in their look alone; which of them is left is
drawn, and no name is shown. A vote is one line of JSON: prompt, seed, the chosen and the rejected file.
"""

import itertools
import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from PIL import Image

from pipelines.compare.index import Entry
from trainers.data.plain_text import plain_values
from trainers.errors import UserError
from trainers.storage import write_text

VOTES_NAME = "votes.jsonl"
Choice = Literal["left", "right", "tie"]


@dataclass(frozen=True)
class Pair:
    """Two pictures to choose from."""

    left: Entry
    right: Entry


@dataclass(frozen=True)
class Vote:
    """One choice; a tie has no chosen and no rejected file, and is no preference pair."""

    prompt: str
    seed: int
    chosen: str | None
    rejected: str | None
    choice: Choice
    left: str
    right: str
    left_look: str
    right_look: str
    setting: str
    voted: str


def pairs_to_vote(entries: Sequence[Entry], votes: Sequence[Vote], *, seed: int = 0) -> list[Pair]:
    """Return all pairs that are not voted on, in a drawn order and with drawn sides, the same for the same seed."""
    done = {frozenset((vote.left, vote.right)) for vote in votes}
    groups: dict[tuple[str, int, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.prompt, entry.seed, entry.setting), []).append(entry)
    source = random.Random(seed)
    pairs = []
    for group in groups.values():
        for first, second in itertools.combinations(group, 2):
            swapped = source.random() < 0.5  # drawn for every pair, so that earlier votes change nothing
            if first.look != second.look and frozenset((first.file, second.file)) not in done:
                pairs.append(Pair(second, first) if swapped else Pair(first, second))
    source.shuffle(pairs)
    return pairs


def cast(folder: Path, pair: Pair, choice: Choice) -> Vote:
    """Add one vote to the folder's file; return it."""
    sides = {"left": (pair.left, pair.right), "right": (pair.right, pair.left)}
    chosen, rejected = sides.get(choice, (None, None))
    vote = Vote(
        prompt=pair.left.prompt,
        seed=pair.left.seed,
        chosen=chosen.file if chosen else None,
        rejected=rejected.file if rejected else None,
        choice=choice,
        left=pair.left.file,
        right=pair.right.file,
        left_look=pair.left.look,
        right_look=pair.right.look,
        setting=pair.left.setting,
        voted=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    lines = [json.dumps(asdict(found), ensure_ascii=False) for found in [*read_votes(folder), vote]]
    write_text(folder / VOTES_NAME, "\n".join(lines) + "\n")
    return vote


def read_votes(folder: Path) -> list[Vote]:
    """Return the folder's votes.

    Raises:
        UserError: the file is broken.
    """
    path = folder / VOTES_NAME
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # no other line end: prompts may hold such
        return [Vote(**plain_values(json.loads(line), f"The votes in {path}")) for line in lines if line]
    except (ValueError, TypeError) as error:
        raise UserError(f"The votes in {path} cannot be read: {error}. Mend or remove the file.") from error


def tally(votes: Sequence[Vote]) -> dict[str, tuple[float, int, float, float]]:
    """Return look -> (wins, votes, low, high): a tie is half a win, the ends are Wilson's 95 % interval (1927)."""
    wins: dict[str, float] = {}
    counts: dict[str, int] = {}
    for vote in votes:
        for side, look in (("left", vote.left_look), ("right", vote.right_look)):
            counts[look] = counts.get(look, 0) + 1
            wins[look] = wins.get(look, 0.0) + (0.5 if vote.choice == "tie" else float(vote.choice == side))
    return {look: (wins[look], counts[look], *wilson(wins[look], counts[look])) for look in counts}


def wilson(wins: float, count: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share."""
    z, share = 1.959964, wins / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


def draw_pair(folder: Path, pair: Pair, *, side_px: int = 512) -> Image.Image:
    """Return both pictures side by side, without a name.

    Raises:
        UserError: a picture is missing.
    """
    both = Image.new("RGB", (2 * side_px + 24, side_px), (255, 255, 255))
    for number, entry in enumerate((pair.left, pair.right)):
        try:
            with Image.open(folder / entry.file, formats=("PNG",)) as picture:
                scaled = picture.convert("RGB").resize((side_px, side_px), Image.Resampling.LANCZOS)
        except OSError as error:
            raise UserError(f"The picture {folder / entry.file} cannot be read; draw the grid again.") from error
        both.paste(scaled, (number * (side_px + 24), 0))
    return both
