"""Bring foreign pictures into a dataset of the studio: each is decoded as proof, and gets a name of ours."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.library.datasets import dataset_folder, unused_picture_name
from trainers.data.captions import caption_in, read_captions, write_captions
from trainers.data.images import FORMATS, open_image
from trainers.data.listing import BESIDE, SUFFIXES, composed, list_folder
from trainers.errors import UserError
from trainers.paths import path_of
from trainers.storage import TEMPORARY_PREFIX, disk_errors, sha256_of_file

_LIMIT_FILES = 5_000
_LIMIT_BYTES = 200 << 20
_ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}


@dataclass(frozen=True)
class _Given:
    """One picture from elsewhere."""

    path: Path
    caption: str


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: dataset (its name), files (paths of pictures, of captions beside them by name, and of folders).

    Yields ``{"event": "result", "added": [[name, original name]…], "refused": [sentence…], "notes": [sentence…]}``.
    """
    folder = dataset_folder(workbench.library, str(arguments["dataset"]))
    if not folder.is_dir():
        raise UserError(f"There is no dataset {arguments['dataset']!r}. Make it first.")
    listing = list_folder(folder, may_be_empty=True)
    if not listing.is_flat:
        raise UserError(
            f"The dataset {arguments['dataset']!r} has folders with repeats ({', '.join(listing.repeats)}), which "
            "would not be read beside pictures of its own. Add to another dataset."
        )
    given, refused, notes = _sorted_out([path_of(str(path)) for path in arguments["files"]])
    there = {sha256_of_file(picture.path): picture.name for picture in listing.pictures}
    added: list[list[str]] = []
    for number, item in enumerate(given, start=1):
        try:
            name = _add(folder, item, there)
            added.append([name, item.path.name])
        except UserError as error:
            refused.append(str(error))
        workbench.progress("pictures", number, len(given))
    yield {"event": "result", "added": added, "refused": refused, "notes": notes}


def _sorted_out(paths: Sequence[Path]) -> tuple[list[_Given], list[str], list[str]]:
    """Return the pictures with their captions, a sentence for everything else, and notes on folders."""
    files = [path for path in paths if not path.is_dir()]
    captions: dict[str, str] = {}
    pictures, refused, notes = [], [], []
    for path in files:
        if path.suffix.lower() in BESIDE:
            try:
                captions[composed(path.stem)] = caption_in(path)
            except UserError as error:
                captions[composed(path.stem)] = ""  # the picture comes without one
                notes.append(str(error))
    left = dict(captions)
    for path in files:
        if path.name.startswith("."):
            refused.append(f"{path.name}: a hidden file, by the dot that its name begins with")
        elif path.suffix.lower() in SUFFIXES:
            left.pop(composed(path.stem), None)
            pictures.append(_Given(path, captions.get(composed(path.stem), "")))
        elif path.suffix.lower() not in BESIDE:
            refused.append(
                f"{path.name}: neither a picture ({', '.join(SUFFIXES)}) nor a caption ({', '.join(BESIDE)})"
            )
    refused += [f"{stem}: a caption, but no picture of that name came with it" for stem in left]
    for folder in (path for path in paths if path.is_dir()):
        listing = list_folder(folder)
        found = read_captions(listing)
        pictures += [_Given(picture.path, found.by_name[picture.name].text) for picture in listing.pictures]
        notes += [*found.notes, *(caption.problem for caption in found.by_name.values() if caption.problem)]
        if not listing.is_flat:
            notes.append(
                f"The repeats of {', '.join(listing.repeats)} are not kept: here each picture is seen once in a pass. "
                "Copy the folder to your datasets to keep them."
            )
    if len(pictures) > _LIMIT_FILES:
        raise UserError(f"{len(pictures)} pictures are too many at once; add up to {_LIMIT_FILES:,}.")
    if not pictures and not refused:
        raise UserError("Nothing was given. Choose pictures, or give the path of a picture or folder.")
    return pictures, refused, notes


def _add(folder: Path, item: _Given, there: dict[str, str]) -> str:
    try:
        size_bytes = item.path.stat().st_size
    except OSError as error:
        raise UserError(f"{item.path.name}: {error.strerror}") from error
    if size_bytes > _LIMIT_BYTES:
        raise UserError(f"{item.path.name}: {size_bytes:,} bytes, at most {_LIMIT_BYTES:,} are taken")
    open_image(item.path)
    digest = sha256_of_file(item.path)
    if digest in there:
        raise UserError(f"{item.path.name}: the same file as {there[digest]}, which is there already")
    with Image.open(item.path, formats=FORMATS) as opened:
        name = unused_picture_name(folder, _ENDINGS[str(opened.format)])
    temporary = folder / f"{TEMPORARY_PREFIX}{name}"
    with disk_errors(folder):
        try:
            shutil.copyfile(item.path, temporary)
            temporary.rename(folder / name)
        finally:
            temporary.unlink(missing_ok=True)
    there[digest] = name
    if item.caption:
        write_captions(folder, {name: item.caption})
    return name


JOB = Job("add_images", _run)
