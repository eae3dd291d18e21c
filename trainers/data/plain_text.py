"""What text may enter: it can be written as UTF-8, and no program takes it for ended before its end. Needs no torch.

A lone surrogate is half of a character. JSON, YAML and the command line can bring one in, and it only fails when it is
written or hashed, hours later; so it is refused at the border, with its place.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from trainers.errors import UserError

_Value = TypeVar("_Value")


def not_plain(text: str) -> str:
    """Return what in a text is not plain, in words; empty when all of it is."""
    if "\0" in text:
        return "a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a broken character"
    return ""


def not_plain_in(value: Any) -> str:
    """Return what in any text of nested values is not plain, names too; empty when all of it is."""
    left, seen = [value], set[int]()
    while left:  # deep nesting must not exhaust the stack
        one = left.pop()
        if isinstance(one, Mapping | list | tuple):
            if id(one) in seen:  # YAML can put a list into itself, or the same one a million times
                continue
            seen.add(id(one))
        if isinstance(one, str):
            if problem := not_plain(one):
                return problem
        elif isinstance(one, Mapping):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            left += one
    return ""


def plain_text(text: str, where: str) -> str:
    """Return the text as it is.

    Args:
        where: the place, such as ``metadata.jsonl line 1: a.png``; it stands before the problem.

    Raises:
        UserError: it is not plain.
    """
    if problem := not_plain(text):
        raise UserError(f"{shown(where)}: not plain text ({problem})")
    return text


def plain_values(value: _Value, where: str) -> _Value:
    """Return what a JSON or YAML file holds as it is.

    Raises:
        UserError: a name or a text in it is not plain; the place is named down to the outermost name.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if problem := not_plain_in(key) or not_plain_in(inner):
                raise UserError(f"{shown(where)}: {shown(str(key))}: not plain text ({problem})")
    elif problem := not_plain_in(value):
        raise UserError(f"{shown(where)}: not plain text ({problem})")
    return value


def shown(text: str) -> str:
    """Return a text that can be printed: what is broken in it stands as an escape."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
