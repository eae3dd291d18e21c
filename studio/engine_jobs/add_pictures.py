"""Bring foreign pictures into a dataset of the studio: each is decoded as proof, and gets a name of ours."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from studio.datasets import dataset_folder, unused_picture_name
from studio.engine._job import Event, Job
from studio.engine.workbench import Workbench
from trainers.data.captions import BESIDE, SUFFIXES, captions_of, picture_paths, read_caption, write_captions
from trainers.data.pictures import FORMATS, open_picture
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

    Yields ``{"event": "result", "added": [[name, original name]…], "refused": [sentence…]}``.
    """
    folder = dataset_folder(workbench.library, str(arguments["dataset"]))
    if not folder.is_dir():
        raise UserError(f"There is no dataset {arguments['dataset']!r}. Make it first.")
    given, refused = _sorted_out([path_of(str(path)) for path in arguments["files"]])
    there = {sha256_of_file(path): path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES}
    added: list[list[str]] = []
    for number, item in enumerate(given, start=1):
        try:
            name = _add(folder, item, there)
            added.append([name, item.path.name])
        except UserError as error:
            refused.append(str(error))
        workbench.progress("pictures", number, len(given))
    yield {"event": "result", "added": added, "refused": refused}


def _sorted_out(paths: Sequence[Path]) -> tuple[list[_Given], list[str]]:
    """Return the pictures with their captions, and a sentence for everything else."""
    files = [path for path in paths if not path.is_dir()]
    captions = {path.stem: _text_of(path) for path in files if path.suffix.lower() in BESIDE}
    pictures, refused = [], []
    for path in files:
        if path.suffix.lower() in SUFFIXES:
            pictures.append(_Given(path, captions.pop(path.stem, "")))
        elif path.suffix.lower() not in BESIDE:
            refused.append(
                f"{path.name}: neither a picture ({', '.join(SUFFIXES)}) nor a caption ({', '.join(BESIDE)})"
            )
    refused += [f"{stem}: a caption, but no picture of that name came with it" for stem in captions]
    for folder in (path for path in paths if path.is_dir()):
        found = captions_of(folder)
        pictures += [_Given(path, found[path.name].text) for path in picture_paths(folder)]
    if len(pictures) > _LIMIT_FILES:
        raise UserError(f"{len(pictures)} pictures are too many at once; add up to {_LIMIT_FILES:,}.")
    if not pictures and not refused:
        raise UserError("Nothing was given. Choose pictures, or give the path of a picture or folder.")
    return pictures, refused


def _text_of(path: Path) -> str:
    try:
        return read_caption(path.with_suffix(".png"), {})[0]
    except UserError:
        return ""  # an empty or unreadable caption: the picture comes without one, and the page names it


def _add(folder: Path, item: _Given, there: dict[str, str]) -> str:
    try:
        size_bytes = item.path.stat().st_size
    except OSError as error:
        raise UserError(f"{item.path.name}: {error.strerror}") from error
    if size_bytes > _LIMIT_BYTES:
        raise UserError(f"{item.path.name}: {size_bytes:,} bytes, at most {_LIMIT_BYTES:,} are taken")
    open_picture(item.path)
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


JOB = Job("add_pictures", _run)
