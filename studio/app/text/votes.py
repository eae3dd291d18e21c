"""Votes on answers as preference pairs, in a file that grows with every vote and that a run on pairs can take."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.library.library import Library
from trainers.data.plain_text import plain_values
from trainers.errors import UserError
from trainers.storage import disk_errors, write_text


def votes_folder(library: Library) -> Path:
    """Return where the pairs lie."""
    return library.folder / "outputs" / "preferences"


def votes_file(library: Library, base: str) -> Path:
    """Return the file of the votes on a base's answers; its name is ours, whatever the base is called."""
    short = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(base).name).strip("-.")[:60]
    sign = "" if short == base else "-" + hashlib.sha256(base.encode()).hexdigest()[:8]
    return votes_folder(library) / f"votes-{short or 'base'}{sign}.jsonl"


def count_votes(library: Library, base: str) -> int:
    """Return how many pairs were kept for a base."""
    try:
        return votes_file(library, base).read_bytes().count(b"\n")
    except OSError:
        return 0


def pair_of(turn: Mapping[str, Any], better: str | None, worse: str | None) -> dict[str, Any]:
    """Return the pair that a vote stands for: prompt, chosen, rejected, and what made the two.

    Args:
        better, worse: titles of two of the turn's columns.

    Raises:
        UserError: they are no two answers to the same question.
    """
    columns = {column["title"]: column for column in turn["columns"]}
    if better not in columns or worse not in columns:
        raise UserError("Choose two answers first: the better one, and the one that it is better than.")
    if better == worse:
        raise UserError(f"{better!r} cannot be better than itself. Choose two different answers.")
    one, other = columns[better], columns[worse]
    if turn.get("plain"):
        raise UserError(
            "These texts were gone on with without a chat, so they are no answers that a run on pairs reads."
        )
    if one["messages"] != other["messages"]:
        raise UserError(
            "The two answers follow different earlier answers, so they are no pair. Begin a new chat and vote on its "
            "first answers."
        )
    if not one["answer"].strip() or not other["answer"].strip():
        raise UserError("One of the two answers is empty. Choose two that say something.")
    if one["answer"] == other["answer"]:
        raise UserError("The two answers are the same text, so there is nothing to prefer.")
    return {
        "prompt": one["messages"],
        "chosen": one["answer"],
        "rejected": other["answer"],
        "seed": turn.get("seed", 0),
        "adapters": {"chosen": list(one["weights"]), "rejected": list(other["weights"])},
        "weights": {"chosen": one["weights"], "rejected": other["weights"]},
    }


def keep_vote(library: Library, base: str, pair: Mapping[str, Any]) -> int:
    """Add a pair to the base's file; return how many it holds now.

    Raises:
        UserError: a text in it is not plain, or the file cannot be written.
    """
    plain_values(pair, "The pair")
    path = votes_file(library, base)
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(path), open(path, "a", encoding="utf-8") as stream:  # one write, so that two pages can vote
        stream.write(json.dumps(pair, ensure_ascii=False) + "\n")
    return count_votes(library, base)


def votes_to_train_on(library: Library, base: str) -> Path:
    """Return a copy of the votes as they are now: a run refuses to go on with texts that changed since it began.

    Raises:
        UserError: there are none.
    """
    count = count_votes(library, base)
    if not count:
        raise UserError(
            f"There are no votes on answers of {base!r} yet. Chat, choose the better of two answers, keep it."
        )
    content = votes_file(library, base).read_text(encoding="utf-8")
    path = votes_file(library, base).with_suffix("") / f"pairs-{count:06d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, content[: content.rfind("\n") + 1])
    return path
