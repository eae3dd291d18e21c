"""Captions of a folder of pictures, read and written in whatever form the folder has. Needs no torch.

Three forms are known: ``NAME.txt`` or ``NAME.caption`` beside a picture, and one ``metadata.jsonl`` with a line
``{"file_name": …, "text": …}`` per picture.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.data.plain_text import not_plain, plain_text
from trainers.errors import UserError, raise_problems
from trainers.storage import write_text

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
BESIDE = (".txt", ".caption")
METADATA_NAME = "metadata.jsonl"
LIMIT_CAPTION_CHARACTERS = 10_000
_LIMIT_FILE_BYTES = 64 << 20


@dataclass(frozen=True)
class Caption:
    """What a folder says about one picture."""

    text: str
    """On one line; empty where there is none that can be used."""
    source: str = ""
    """``.txt``, ``.caption`` or ``metadata.jsonl``; empty where there is none."""
    problem: str = ""
    """Why it cannot be trained on, a sentence; empty when it can."""


def picture_paths(folder: Path) -> list[Path]:
    """Return the picture files of a folder by name; none is opened.

    Raises:
        UserError: there is no such folder, or it holds no pictures.
    """
    if not folder.exists():
        raise UserError(f"The data folder {folder} does not exist. Give a folder of pictures with --data.")
    if not folder.is_dir():
        raise UserError(f"The data {folder} is a file; a folder of pictures is expected.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if paths:
        return paths
    below = Counter(p.parent.name for p in folder.glob("*/*") if p.suffix.lower() in SUFFIXES and p.is_file())
    advice = (
        f"Its folders hold some: {', '.join(f'{name} ({count})' for name, count in sorted(below.items()))}. "
        "Give one of them."
        if below
        else f"Put {', '.join(SUFFIXES)} files there."
    )
    raise UserError(f"The data folder {folder} holds no pictures. {advice}")


def read_metadata(folder: Path) -> dict[str, str]:
    """Return the captions in a folder's ``metadata.jsonl`` by file name; none where there is no such file.

    Raises:
        UserError: a line cannot be read, or two lines disagree.
    """
    path = folder / METADATA_NAME
    if not path.exists():
        return {}
    captions: dict[str, str] = {}
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry: Any = json.loads(line)
            name, caption = entry["file_name"], entry.get("text", entry.get("caption", ""))
            if not isinstance(name, str) or not isinstance(caption, str):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f'{path}, line {number}: expected {{"file_name": …, "text": …}}, found {line[:80]!r}.'
            ) from error
        plain_text(caption, f"{METADATA_NAME} line {number}: {name}")
        if captions.setdefault(name, caption) != caption:
            raise UserError(f"{path}, line {number}: {name} has another caption in an earlier line. Keep one of them.")
    return captions


def read_caption(path: Path, metadata: Mapping[str, str]) -> tuple[str, str]:
    """Return a picture's caption on one line, and where it came from.

    Raises:
        UserError: it has none, an empty one, or several that differ.
    """
    found: dict[str, str] = {}
    if path.name in metadata:
        found[METADATA_NAME] = metadata[path.name].strip()
    for suffix in BESIDE:
        beside = path.with_suffix(suffix)
        if beside.exists():
            found[suffix] = _read_text(beside).strip()
    if not found:
        raise UserError(
            f"{path.name} has no caption. Put one into {path.with_suffix('.txt').name}, or give one "
            "for all with --prompt."
        )
    if len(set(found.values())) > 1:
        raise UserError(f"{path.name} has different captions in {' and '.join(found)}. Keep one of them.")
    source, caption = next(iter(found.items()))
    if not caption:
        raise UserError(f"{path.name} has an empty caption in {source}. Write one, or give one for all with --prompt.")
    if _cannot_be_read_well(caption):
        raise UserError(f"{path.name}: its caption in {source} is not plain text of a sensible length.")
    return " ".join(caption.split()), source


def captions_of(folder: Path) -> dict[str, Caption]:
    """Return what a folder says about each of its pictures, by file name; pictures without a caption included.

    Raises:
        UserError: there are no pictures, or ``metadata.jsonl`` cannot be read.
    """
    paths = picture_paths(folder)
    metadata = read_metadata(folder)
    found = {}
    for path in paths:
        try:
            found[path.name] = Caption(*read_caption(path, metadata))
        except UserError as error:
            found[path.name] = Caption("", problem=str(error))
    return found


def write_captions(folder: Path, captions: Mapping[str, str]) -> None:
    """Write captions by picture name, each where the folder keeps that picture's, atomically.

    A picture that has none yet gets the form of the others: a line in ``metadata.jsonl`` where the folder has that
    file, ``.caption`` where only such files lie there, else ``.txt``. Two forms that agree or differ are all written,
    so that they agree afterwards.

    Raises:
        UserError: a picture is not there, or a text is empty or no plain text; then nothing is written.
    """
    lines = {name: " ".join(text.split()) for name, text in captions.items()}
    problems = [f"{name} is not a picture in {folder}" for name in lines if not _is_picture(folder, name)]
    problems += [f"{name}: the caption is empty" for name, text in lines.items() if not text]
    problems += [
        f"{name}: the caption is not plain text of up to {LIMIT_CAPTION_CHARACTERS:,} characters"
        for name, text in lines.items()
        if _cannot_be_read_well(text)
    ]
    raise_problems("The captions were not written:", problems[:10])
    metadata = read_metadata(folder)
    new_suffix = _form_of(folder)
    for name, text in lines.items():
        path = folder / name
        beside = [path.with_suffix(suffix) for suffix in BESIDE if path.with_suffix(suffix).exists()]
        if not beside and name not in metadata and new_suffix:
            beside = [path.with_suffix(new_suffix)]
        for file in beside:
            write_text(file, text + "\n")
    listed = {name: text for name, text in lines.items() if name in metadata or not new_suffix}
    if listed:
        write_text(folder / METADATA_NAME, _changed_metadata(folder, listed))


def _is_picture(folder: Path, name: str) -> bool:
    path = folder / name
    return Path(name).name == name and path.suffix.lower() in SUFFIXES and path.is_file()


def _form_of(folder: Path) -> str:
    """Return the ending for a picture that has no caption yet; empty stands for ``metadata.jsonl``."""
    if (folder / METADATA_NAME).exists():
        return ""
    with_caption = any(folder.glob("*.caption"))
    return ".caption" if with_caption and not any(folder.glob("*.txt")) else ".txt"


def _changed_metadata(folder: Path, captions: Mapping[str, str]) -> str:
    """Return the file's lines with other captions; all else in them stays."""
    left = dict(captions)
    lines = []
    for line in _read_text(folder / METADATA_NAME).split("\n"):
        if not line.strip():
            continue
        entry = json.loads(line)
        if entry["file_name"] in captions:
            field = "text" if "text" in entry or "caption" not in entry else "caption"
            entry[field] = captions[entry["file_name"]]
            left.pop(entry["file_name"], None)
            line = json.dumps(entry, ensure_ascii=False)
        lines.append(line)
    lines += [json.dumps({"file_name": name, "text": text}, ensure_ascii=False) for name, text in left.items()]
    return "".join(line + "\n" for line in lines)


def _cannot_be_read_well(caption: str) -> bool:
    return bool(not_plain(caption)) or len(caption) > LIMIT_CAPTION_CHARACTERS


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > _LIMIT_FILE_BYTES:
            raise UserError(f"{path.name} has more than {_LIMIT_FILE_BYTES:,} bytes, so it is not read.")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not UTF-8 text. Save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}.") from error
