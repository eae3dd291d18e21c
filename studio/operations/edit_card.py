"""Change what an adapter or a file says about itself; the tensors stay bit for bit. Rename an adapter."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.formats._header import CLAIMS, change_metadata
from pipelines.formats._metadata import ABOUT
from studio.library.library import Library
from studio.library.previews import add_preview, thumbnail
from trainers.card import CARD_NAME, read_card
from trainers.errors import UserError, unknown
from trainers.storage import new_folder, write_json


def edit_file(
    path: Path,
    pairs: Mapping[str, str],
    removed: Sequence[str] = (),
    triggers: Sequence[str] | None = None,
    picture: Path | None = None,
) -> list[str]:
    """Change a ``.safetensors`` file's metadata; return what it says now, a line each.

    Raises:
        UserError: a key is computed from the tensors, is not there, or the file or picture cannot be read.
    """
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


def edit_adapter(
    library: Library,
    name: str,
    pairs: Mapping[str, str],
    removed: Sequence[str] = (),
    triggers: Sequence[str] | None = None,
    picture: Path | None = None,
) -> list[str]:
    """Change an adapter's card and cover; return what it says now, a line each.

    Raises:
        UserError: there is no such adapter, a key is unknown or not there, or the picture cannot be decoded.
    """
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


def rename_adapter(library: Library, name: str, new_name: str) -> Path:
    """Give an adapter another name; whenever this is cut short, the old or the new one is there, whole.

    The run that made it keeps its own name, and so do the recipes of blends, which know their parents by content.

    Raises:
        UserError: there is no such adapter, or the new name cannot be used or is taken.
    """
    folder = library.find(name)
    target = library.new_adapter_folder(new_name)
    card = read_card(folder).model_copy(update={"name": new_name})
    with new_folder(target) as temporary:
        shutil.copytree(folder, temporary, dirs_exist_ok=True, copy_function=_linked)
        write_json(temporary / CARD_NAME, card.model_dump(mode="json"))
    library.remove_adapter(name)
    return target


def _linked(source: str, target: str) -> str:
    """Link a file, or copy it where the file system cannot; ours are replaced whole and never changed in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
