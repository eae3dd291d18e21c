"""Errors that a user can put right."""

import difflib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainers.wording import LIMIT_LISTED, listed


class UserError(Exception):
    """A mistake in the input: what failed with its value, what was expected or exists, what to do.

    The command line prints the sentence alone and exits with code 2. Anything else that is raised is a bug and keeps
    its traceback.
    """


def raise_problems(headline: str, problems: Sequence[str], advice: str = "") -> None:
    """Raise one `UserError` with every problem, of many the first ten and how many more; return quietly of none.

    Args:
        advice: a last line, which is never cut off.
    """
    if problems:
        lines = list(dict.fromkeys(problems))
        shown = [f"\n  - {problem}" for problem in lines[:LIMIT_LISTED]]
        rest = f"\n  … and {len(lines) - LIMIT_LISTED} more" if len(lines) > LIMIT_LISTED else ""
        raise UserError(headline + "".join(shown) + rest + (f"\n  {advice}" if advice else ""))


def problem_sentence(item: Mapping[str, Any], known: Iterable[str], prefix: str = "") -> str:
    """Say what is wrong with one setting.

    Args:
        item: one of the `errors` of pydantic's `ValidationError`.
        known: the names that exist where an unknown one was given.
        prefix: stands before the setting's own name.
    """
    where = prefix + ".".join(str(step) for step in item["loc"])
    if item["type"] == "extra_forbidden":
        return str(unknown("Setting", where.rpartition(".")[2], known)).replace("Setting", f"{where}: setting", 1)
    if item["type"] == "missing":
        return f"{where} is missing"
    said = item["msg"].removeprefix("Value error, ")
    said = said[:1].lower() + said[1:]
    return f"{where} = {reprlib.repr(item['input'])}: {said}" if where else said


def unknown(kind: str, value: str, known: Iterable[str], advice: str = "") -> UserError:
    """Build the error for a name that is not among the known ones, nearest names first; of many only some are named."""
    names = sorted(known)
    near = difflib.get_close_matches(value, names, n=3, cutoff=0.5)
    parts = [f"{kind} {value!r} is unknown."]
    if near:
        parts.append("Did you mean " + " or ".join(repr(name) for name in near) + "?")
    parts.append(
        f"Available: {listed(names, LIMIT_LISTED if near else 2 * LIMIT_LISTED)}." if names else "There is none yet."
    )
    if advice:
        parts.append(advice)
    return UserError(" ".join(parts))
