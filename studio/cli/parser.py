"""A parser of command lines whose mistakes are one sentence each, like every other mistake of a user."""

import argparse
import re
from collections.abc import Sequence
from typing import Any

from trainers.errors import UserError, unknown
from trainers.wording import listed

_ABOUT_ONE = re.compile(r"argument (?P<what>[^:]+): (?P<problem>.*)", re.DOTALL)
_CHOICE = re.compile(r"invalid choice: (?P<value>.*?) \((?:choose from|choices:) (?P<known>.*)\)", re.DOTALL)
_AMBIGUOUS = re.compile(r"ambiguous option: (?P<value>\S+) could match (?P<known>.*)")
_REQUIRED = "the following arguments are required: "
_LIKE_A_NUMBER = re.compile(r"-\.?\d")


class CommandLineError(UserError):
    """A command line that cannot be read; `command` is what was called, such as ``studio train``."""

    def __init__(self, command: str, sentence: str) -> None:
        """Keep both."""
        super().__init__(sentence)
        self.command = command


class OldName(argparse._StoreAction):
    """An option under the name that it had before: taken, and offered nowhere."""

    present: Sequence[str] = ()
    """The names that it has now."""


class CommandParser(argparse.ArgumentParser):
    """As argparse's, but that a mistake raises `CommandLineError`, with the nearest name, instead of a usage block."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what argparse takes."""
        super().__init__(*arguments, **options)
        self.register("type", int, _whole_number)
        self.register("type", float, _number)
        # So that --weights -0.5,1 is a value as --weights -0.5 is; no option of ours begins with a digit.
        self._negative_number_matcher = _LIKE_A_NUMBER

    def error(self, message: str) -> Any:
        """Raise what argparse found.

        Raises:
            CommandLineError: always.
        """
        raise CommandLineError(self.prog, self._sentence(message))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:  # type: ignore[override]
        """Parse, and refuse what is left: each command knows its own options best."""
        given = {str(text).partition("=")[0] for text in args or ()}
        for action in self._actions:
            if isinstance(action, OldName) and given & set(action.option_strings) and given & set(action.present):
                self.error(f"{action.option_strings[0]} is the old name of {action.present[0]}. Give one of them")
        options, left = super().parse_known_args(args, namespace)
        if left:
            raise CommandLineError(self.prog, self._about_rest(left))
        return options, left

    def _about_rest(self, left: Sequence[str]) -> str:
        flags = [text.partition("=")[0] for text in left if text.startswith("-") and text != "-"]
        if flags:
            known = [name for name in self._option_string_actions if self._is_offered(name)]
            return f"{unknown('Option', flags[0], known)} {self._help()}"
        shown = ", ".join(map(repr, left[:5]))
        return (
            f"{shown} {'is' if len(left) == 1 else 'are'} too many. Write a text with spaces in quotes. {self._help()}"
        )

    def _is_offered(self, name: str) -> bool:
        return name.startswith("--") and not isinstance(self._option_string_actions.get(name), OldName)

    def _sentence(self, message: str) -> str:
        if message.startswith(_REQUIRED):
            missing = message.removeprefix(_REQUIRED).split(", ")
            if missing == ["COMMAND"]:
                return f"No command is given. {self._help()}"
            return f"{' and '.join(missing)} must be given. {self._help()}"
        if found := _AMBIGUOUS.fullmatch(message):
            known = [name for name in found["known"].split(", ") if self._is_offered(name)]
            return f"{found['value']} can mean {listed(known, 5)}. Write one of them out."
        if not (found := _ABOUT_ONE.fullmatch(message)):
            return f"{message}. {self._help()}"
        what, problem = found["what"], found["problem"]
        if choice := _CHOICE.fullmatch(problem):
            known = [name.strip("'\"") for name in choice["known"].split(", ")]
            kind = "Command" if what == "COMMAND" else what
            return f"{unknown(kind, choice['value'].strip(chr(39) + chr(34)), known)} {self._help()}"
        if problem.startswith("expected "):
            return f"{what} needs a value behind it. One that begins with '-' is written {what.split('/')[-1]}=VALUE."
        if problem.startswith("ignored explicit argument"):
            return f"{what} takes no value. Write it alone."
        return f"{what} {problem}"

    def _help(self) -> str:
        return f"See '{self.prog} --help'."


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        near = _finite(text)
        such = f"{near:.0f}" if near is not None and near == int(near) else "one such as 8"
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number. Write {such}.") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        near = _finite(text.replace(",", "."))
        such = f"{near:g}" if near is not None else "one such as 0.5"
        raise argparse.ArgumentTypeError(f"{text!r} is no number. Write {such}.") from None


def _finite(text: str) -> float | None:
    """Return the number of a text, None where it has none that can be written out."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 2**63 else None
