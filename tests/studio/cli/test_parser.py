"""A command line that cannot be read is one sentence with the nearest name, for every command and subcommand."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from studio.cli.main import _parser, main
from studio.cli.parser import CommandParser

CAPTURE = pytest.CaptureFixture[str]


def leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the parsers of all commands and subcommands."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [leaf for action in inner for own in action.choices.values() for leaf in leaves(own)] or [parser]


COMMANDS = leaves(_parser())


def said_of(capsys: CAPTURE, *arguments: str) -> str:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "usage:" not in said.err
    return said.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda parser: parser.prog)
def test_every_command_tells_an_unknown_option_with_the_nearest(command: CommandParser, capsys: CAPTURE) -> None:
    required = [action for action in command._actions if action.required]
    given = [text for action in required for text in ([action.option_strings[0]] if action.option_strings else [])]
    given = [text for flag in given for text in (flag, "x")]
    given += ["x" for action in required if not action.option_strings]
    flags = [name for action in command._actions for name in action.option_strings if name.startswith("--")]
    longest = max(flags, key=len)
    said = said_of(capsys, *command.prog.split()[1:], *given, f"{longest[:-2]}x{longest[-1]}")
    assert said.startswith(f"{command.prog}: Option '{longest[:-2]}x{longest[-1]}' is unknown. Did you mean ")
    assert repr(longest) in said


@pytest.mark.parametrize("command", COMMANDS, ids=lambda parser: parser.prog)
def test_every_number_of_every_command_is_asked_for_in_words(command: CommandParser, capsys: CAPTURE) -> None:
    for action in command._actions:
        if action.type in (int, float) and action.option_strings:
            flag = action.option_strings[0]
            said = said_of(capsys, *command.prog.split()[1:], flag, "many")
            noun = (
                "no whole number. Write one such as 8." if action.type is int else "no number. Write one such as 0.5."
            )
            assert said == f"{command.prog}: {flag} 'many' is {noun}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("generate x --seed 1e3", "studio generate: --seed '1e3' is no whole number. Write 1000."),
        ("generate x --seed 1.5", "--seed '1.5' is no whole number. Write one such as 8."),
        ("generate x --seed inf", "--seed 'inf' is no whole number"),
        ("generate x --guidance 7,5", "--guidance '7,5' is no number. Write 7.5."),
        ("generate x --seed", "--seed needs a value behind it"),
        (
            "generate x --out --seed 3",
            "--out needs a value behind it. One that begins with '-' is written --out=VALUE.",
        ),
        ("generate a red boat", "studio generate: 'red', 'boat' are too many. Write a text with spaces in quotes."),
        ("generate x --s 3", "--s can mean --seed, --sampler. Write one of them out."),
        ("blend a --name x --dtype float61", "--dtype 'float61' is unknown. Did you mean 'float16'"),
        ("genrate x", "studio: Command 'genrate' is unknown. Did you mean 'generate'"),
        ("text chta", "studio text: Command 'chta' is unknown. Did you mean 'chat'"),
        ("text", "studio text: No command is given."),
        ("blend", "studio blend: --name must be given."),
        ("app --open=yes", "studio app: --open takes no value. Write it alone."),
        ("--seed 3 generate x", "studio: --seed stands before the command."),
        ("--version", "studio: --version stands before the command."),
    ],
)
def test_what_is_wrong_and_what_to_do(arguments: str, expected: str, capsys: CAPTURE) -> None:
    assert expected in said_of(capsys, *arguments.split())


def test_values_that_begin_with_a_minus_sign_are_values() -> None:
    read = _parser().parse_args
    assert read(["compare", "--prompt", "x", "--weights", "-0.5,0,1"]).weights == "-0.5,0,1"
    assert read(["compare", "--prompt", "x", "--seeds", "-1,-1"]).seeds == "-1,-1"
    assert read(["generate", "x", "--seed", "-1", "--guidance", "-.5"]).guidance_scale == -0.5


def test_a_command_that_loads_says_so_at_once_and_not_on_standard_output(tmp_path: Path) -> None:
    loading = "studio verify: loading torch and the model libraries …"
    for arguments, first in ((["verify", "nowhere"], loading), (["remove", "nobody"], "studio remove: ")):
        ran = subprocess.run(
            [sys.executable, "-m", "studio", *arguments, "--library", str(tmp_path)], capture_output=True, text=True
        )
        assert ran.returncode == 2
        assert ran.stdout == ""
        assert ran.stderr.startswith(first)
        assert (loading in ran.stderr) == (first == loading)


def test_what_says_something_within_a_second_is_known() -> None:
    quick = {parser.prog.removeprefix("studio ") for parser in COMMANDS if not parser.get_default("loads")}
    assert quick == {"app", "list", "methods", "remove", "show", "train", "text train", "work"}


def test_help_is_help(capsys: CAPTURE) -> None:
    for arguments in (["--help"], ["train", "--help"], ["text", "chat", "-h"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert "usage: studio" in capsys.readouterr().out
