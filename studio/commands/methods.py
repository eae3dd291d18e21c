"""``studio methods``: the table of methods and parts, and their settings."""

import argparse

from studio.commands._command import Command
from trainers.methods import Method, find_method, methods


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="one method, with all that is known of it")
    parser.add_argument("--settings", action="store_true", help="also list every method's settings")


def _run(options: argparse.Namespace) -> None:
    if options.name is not None:
        _describe(find_method(options.name))
        return
    parts = list(dict.fromkeys(part for method in methods().values() for part in method.parts))
    width = max(len(name) for name in methods())
    print("  ".join(["method".ljust(width), *parts, "merge", "plain PEFT", "title"]))
    for method in methods().values():
        cells = [("yes" if part in method.parts else "-").ljust(len(part)) for part in parts]
        facts = [("yes" if method.mergeable else "-").ljust(5), ("-" if method.needs_studio else "yes").ljust(10)]
        print("  ".join([method.name.ljust(width), *cells, *facts, method.title]))
        if options.settings:
            _print_settings(method)


def _describe(method: Method) -> None:
    print(f"{method.name}: {method.title} ({method.source})")
    print(f"A weight w means: {method.live_weight}.")
    if method.starts_changed:
        print(f"A fresh adapter already changes the output: {method.starts_changed}.")
    print(f"Loads in plain PEFT: {'no, it needs this project' if method.needs_studio else 'yes'}.")
    for part, recommendation in method.recommended.items():
        own = ", ".join(f"{key} = {_shown(value)}" for key, value in recommendation.settings.items())
        print(f"{part}: learning rate {recommendation.learning_rate:g}{', ' + own if own else ''}")
    _print_settings(method)


def _print_settings(method: Method) -> None:
    for name, field in method.settings.model_fields.items():
        print(f"    {name} = {_shown(field.default)}: {field.description}")


def _shown(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)


COMMAND = Command("methods", "List the methods and the parts they fit.", _add_arguments, _run)
