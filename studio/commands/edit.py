"""``studio edit``: change what an adapter or a file says about itself; its tensors stay bit for bit."""

import argparse
from pathlib import Path
from typing import Any

from studio.commands._command import Command, add_library, library_of
from studio.library import Library
from trainers.errors import UserError


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
    path = Path(options.target).expanduser()
    picture = Path(options.preview).expanduser() if options.preview else None
    if path.suffix == ".safetensors":
        changed = _edit_file(path, pairs, tuple(options.remove), options.trigger, picture)
    else:
        changed = _edit_adapter(library_of(options), options.target, pairs, options.remove, options.trigger, picture)
    for line in changed:
        print(line)


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UserError(f"--set {text!r} cannot be read. Write KEY=VALUE, such as license=CC0-1.0.")
    return key.strip(), value


def _edit_file(
    path: Path, pairs: dict[str, str], removed: tuple[str, ...], triggers: list[str] | None, picture: Path | None
) -> list[str]:
    from pipelines.formats._header import CLAIMS, change_metadata
    from pipelines.formats._metadata import ABOUT
    from studio.previews import thumbnail

    changes = {f"modelspec.{key}" if key in ABOUT else key: value for key, value in pairs.items()}
    computed = [key for key in changes if key in CLAIMS or key.startswith("sshs_")]
    if computed:
        raise UserError(
            f"{', '.join(computed)} is computed from the tensors and cannot be set; --remove takes it away."
        )
    if triggers is not None:
        changes["modelspec.trigger_phrase"] = ", ".join(triggers)
    if picture is not None:
        changes["modelspec.thumbnail"] = thumbnail(picture)
    gone = tuple(f"modelspec.{key}" if key in ABOUT else key for key in removed)
    now = change_metadata(path, changes, gone)
    return [f"{key} = {now[key][:100]}" for key in changes] + [f"{key} was removed" for key in gone]


def _edit_adapter(
    library: Library,
    name: str,
    pairs: dict[str, str],
    removed: list[str],
    triggers: list[str] | None,
    picture: Path | None,
) -> list[str]:
    from pipelines.formats._metadata import ABOUT
    from studio.previews import add_preview
    from trainers.card import CARD_NAME, read_card
    from trainers.errors import unknown
    from trainers.storage import write_json

    folder = library.find(name)
    card = read_card(folder)
    for key in (*pairs, *removed):
        if key not in ABOUT:
            raise unknown("Key", key, ABOUT)
    known = dict(card.training.get("about", {}))
    missing = [key for key in removed if key not in known]
    if missing:
        raise UserError(f"{card.name!r} has no {', '.join(missing)}. It has {', '.join(known) or 'none'}.")
    about = {key: value for key, value in {**known, **pairs}.items() if key not in removed}
    training = {key: value for key, value in card.training.items() if key != "about"}
    update: dict[str, Any] = {"training": {**training, **({"about": about} if about else {})}}
    if triggers is not None:
        update["triggers"] = tuple(triggers)
    lines = [f"preview: {add_preview(folder, picture)}"] if picture is not None else []
    changed = card.model_copy(update=update)
    write_json(folder / CARD_NAME, changed.model_dump(mode="json"))
    shown = {"triggers": ", ".join(changed.triggers) or "none", **about}
    return [*lines, *(f"{key}: {value}" for key, value in shown.items())]


COMMAND = Command("edit", "Change what an adapter or a file says about itself.", _add_arguments, _run)
