"""``studio methods``: the methods, the parts they fit, and their settings."""

import argparse

from studio.commands._command import Command
from trainers.methods import methods


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", action="store_true", help="also list every method's settings")


def _run(options: argparse.Namespace) -> None:
    for method in methods().values():
        print(f"{method.name}  {method.title}: {', '.join(method.parts)}  ({method.source})")
        if options.settings:
            for name, field in method.settings.model_fields.items():
                print(f"    {name} = {field.default}: {field.description}")


COMMAND = Command("methods", "List the methods and the parts they fit.", _add_arguments, _run)
