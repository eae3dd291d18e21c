"""``studio edit``: change what an adapter or a file says about itself; its tensors stay bit for bit."""

import argparse

from studio.cli.command import Command, add_library, library_of
from trainers.errors import UserError
from trainers.paths import path_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="NAME|FILE", help="adapter in the library, or a .safetensors file")
    parser.add_argument(
        "--trigger", action="append", metavar="WORDS", help="trigger words; may be repeated, replaces all"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="license, author, description, usage_hint, tags; in a file any key of its metadata",
    )
    parser.add_argument("--remove", action="append", default=[], metavar="KEY", help="take a key away")
    parser.add_argument("--preview", metavar="PICTURE", help="picture to show for it")
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    pairs = dict(_pair(text) for text in options.set)
    if not (pairs or options.remove or options.trigger is not None or options.preview):
        raise UserError("Nothing to change. Give --trigger, --set, --remove or --preview.")
    path = path_of(options.target)
    picture = path_of(options.preview) if options.preview else None

    from studio.operations.edit_card import edit_adapter, edit_file

    if path.suffix == ".safetensors":
        changed = edit_file(path, pairs, options.remove, options.trigger, picture)
    else:
        changed = edit_adapter(library_of(options), options.target, pairs, options.remove, options.trigger, picture)
    for line in changed:
        print(line)


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UserError(f"--set {text!r} cannot be read. Write KEY=VALUE, such as license=CC0-1.0.")
    return key.strip(), value


COMMAND = Command("edit", "Change what an adapter or a file says about itself.", _add_arguments, _run)
