"""``studio methods``: the table of methods and parts, and their settings."""

import argparse

from studio.cli.command import Command
from trainers.errors import UserError
from trainers.methods import Method, find_method, methods
from trainers.methods._left_out import LEFT_OUT
from trainers.methods._table import as_markdown, as_text, table_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="one method, with all that is known of it")
    parser.add_argument("--settings", action="store_true", help="list every method's settings as well")
    parser.add_argument("--left-out", action="store_true", help="list the tuners of PEFT that are no methods, and why")
    parser.add_argument("--markdown", action="store_true", help="print the table for a document")


def _run(options: argparse.Namespace) -> None:
    asked = [f"--{name.replace('_', '-')}" for name in ("settings", "left_out", "markdown") if getattr(options, name)]
    if asked and options.name is not None:
        raise UserError(f"{', '.join(asked)} is for the list of methods; leave it away, or the name {options.name!r}.")
    if options.left_out and len(asked) > 1:
        raise UserError("--left-out is a list of its own; leave --settings and --markdown away.")
    if options.settings and options.markdown:
        raise UserError("--markdown prints the table alone; leave --settings away.")
    if options.name is not None:
        _describe(find_method(options.name))
        return
    if options.left_out:
        for tuner, reason in LEFT_OUT.items():
            print(f"{tuner}: {reason}.")
        return
    table = table_of(methods().values())
    print(as_markdown(table) if options.markdown else as_text(table))
    for method in methods().values() if options.settings else ():
        print(f"\n{method.name}")
        _print_settings(method)


def _describe(method: Method) -> None:
    print(f"{method.name}: {method.title} ({method.source})")
    print(f"A weight w means: {method.live_weight}.")
    for part, reason in method.lacks.items():
        print(f"Does not fit {part}: {reason}.")
    if not method.mergeable:
        print(f"Cannot be merged: {method.merges_not}.")
    if method.loads_changed:
        print(f"A saved one {method.loads_changed}.")
    if method.starts_changed:
        print(f"A fresh adapter already changes the output: {method.starts_changed}.")
    print(f"Loads in plain PEFT: {'no, it needs this project' if method.needs_studio else 'yes'}.")
    for part, recommendation in method.recommended.items():
        own = ", ".join(f"{key} = {_shown(value)}" for key, value in recommendation.settings.items())
        pocket = f" ({recommendation.pocket_rate:g} on pocket-lm)" if recommendation.pocket_rate is not None else ""
        print(f"{part}: learning rate {recommendation.learning_rate:g}{pocket}{', ' + own if own else ''}")
    _print_settings(method)


def _print_settings(method: Method) -> None:
    for name, field in method.settings.model_fields.items():
        print(f"    {name} = {_shown(field.default)}: {field.description}")


def _shown(value: object) -> str:
    if value is None or value == ():
        return "none"
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)


COMMAND = Command("methods", "List the methods and the parts they fit.", _add_arguments, _run, loads=False)
