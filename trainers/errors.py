"""Errors that a user can put right."""

import difflib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainers.wording import LIMIT_LISTED, listed, nearest_multiples

_EXPECTED: Mapping[str, str] = {
    "bool": "yes or no is expected; write true or false",
    "dict": "settings with values are expected, such as KEY: VALUE",
    "finite_number": "a finite number is expected; write one such as 0.5",
    "float": "a number is expected; write one such as 0.5",
    "greater_than": "a number above {gt:,.10g} is expected; raise it",
    "greater_than_equal": "at least {ge:,.10g} is expected; raise it",
    "int": "a whole number is expected; write one such as 8",
    "less_than": "a number below {lt:,.10g} is expected; lower it",
    "less_than_equal": "at most {le:,.10g} is expected; lower it",
    "list": "a list is expected, such as [FIRST, SECOND]",
    "literal_error": "{expected} is expected; take one of them",
    "model": "settings with values are expected, such as KEY: VALUE",
    "multiple_of": "a multiple of {multiple_of:g} is expected; take {near}",
    "string": "a text is expected; write it in quotes",
    "too_long": "at most {max_length} are expected, not {actual_length}; leave some out",
    "too_short": "at least {min_length} is expected, not {actual_length}; add one",
    "tuple": "a list is expected, such as [FIRST, SECOND]",
}
"""Kind of pydantic's error, or the type that it is about -> what was expected, and what to do."""


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


def problem_sentence(item: Mapping[str, Any], known: Iterable[str], prefix: str = "", said: str = "") -> str:
    """Say what is wrong with one setting.

    Args:
        item: one of the `errors` of pydantic's `ValidationError`.
        known: the names that exist where an unknown one was given.
        prefix: stands before the setting's own name.
        said: what is wrong, where more is known than `item` tells.
    """
    where = prefix + ".".join(str(step) for step in item["loc"])
    if item["type"] == "extra_forbidden":
        return str(unknown("Setting", where.rpartition(".")[2], known)).replace("Setting", f"{where}: setting", 1)
    if item["type"] == "missing":
        return f"{where} is missing"
    said = said or _expectation(item)
    return f"{where} = {reprlib.repr(item['input'])}: {said}" if where else said


def _expectation(item: Mapping[str, Any]) -> str:
    """Say what was expected instead, in our own words; what a validator of ours said stays as it is."""
    kind = item["type"]
    template = _EXPECTED.get(kind, _EXPECTED.get(kind.partition("_")[0], ""))
    if kind == "literal_error" and " or " not in item["ctx"]["expected"]:
        template = "{expected} is expected"
    if template:
        context = dict(item.get("ctx", {}))
        if kind == "multiple_of":
            context["near"] = nearest_multiples(float(item["input"]), context["multiple_of"])
        return template.format(**context)
    said = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return str(said[:1].lower() + said[1:])


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
