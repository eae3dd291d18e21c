"""Captions of a folder of pictures, read and written in whatever form the folder has. Needs no torch.

Three forms are known: ``NAME.txt`` or ``NAME.caption`` beside a picture; ``metadata.jsonl`` or ``metadata.csv`` with
``file_name`` and ``text`` for each picture; and the words of a folder ``<repeats>_<words>``, where there is no other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.data.encoding import UTF_8, read_text
from trainers.data.listing import BESIDE, ImageFile, Listing, Place, composed, list_folder
from trainers.data.metadata import Table, read_table
from trainers.data.plain_text import not_plain
from trainers.errors import UserError, raise_problems
from trainers.storage import write_text
from trainers.wording import count_and_name, count_of, listed

FOLDER_NAME = "folder name"
PROMPT = "prompt"
LIMIT_CAPTION_CHARACTERS = 10_000


@dataclass(frozen=True)
class Caption:
    """What a folder says about one picture."""

    text: str
    """On one line; empty where there is none that can be used."""
    source: str = ""
    """``.txt``, ``.caption``, ``metadata.jsonl``, ``metadata.csv``, ``folder name`` or ``prompt``; empty where none."""
    problem: str = ""
    """Why it cannot be trained on, a sentence; empty when it can."""

    @property
    def is_written(self) -> bool:
        """Whether somebody wrote it for this picture."""
        return self.source not in ("", FOLDER_NAME, PROMPT)


@dataclass(frozen=True)
class FolderCaptions:
    """What a folder says about its pictures."""

    by_name: dict[str, Caption]
    """A caption for each picture of the listing, in its order."""
    notes: tuple[str, ...]
    """Sentences on what is passed over and what was read otherwise than one might expect, of files and captions."""


def read_captions(listing: Listing, *, prompt: str | None = None) -> FolderCaptions:
    """Return the captions of a folder's pictures, and all that a user should know of the folder.

    Args:
        prompt: one caption for all; caption files are then not read.

    Raises:
        UserError: a table of captions cannot be read.
    """
    if prompt is not None:
        captions = {picture.name: Caption(prompt, PROMPT) for picture in listing.pictures}
        unread = [place.prefix + path.name for place in listing.places for path in (*place.beside, *place.tables)]
        why = "not read, since one prompt is given for all pictures"
        notes = [count_and_name(unread, "caption file", f"is {why}", f"are {why}")] if unread else []
        return FolderCaptions(captions, (*listing.passed_over(), *notes))
    places = _caption_files(listing)
    captions = {picture.name: files.read(picture) for files in places for picture in files.place.pictures}
    notes = [*listing.passed_over(), *(note for files in places for note in files.notes()), *_table_notes(places)]
    for place in listing.places:
        count = sum(captions[picture.name].source == FOLDER_NAME for picture in place.pictures)
        notes += [
            f"{place.prefix}: {count_of(count, 'picture')} without a caption file, taken for {place.words!r} after the "
            "folder's name, as kohya's trainers do."
        ] * bool(count)
    return FolderCaptions(captions, tuple(notes))


def captions_of(folder: Path) -> dict[str, Caption]:
    """Return what a folder says about each of its pictures, by name; pictures without a caption included.

    Raises:
        UserError: there are no pictures, or a table of captions cannot be read.
    """
    return read_captions(list_folder(folder)).by_name


def caption_in(path: Path) -> str:
    """Return the caption in one ``.txt`` or ``.caption`` file, on one line.

    Raises:
        UserError: it cannot be read, is empty, or is no plain text of a sensible length.
    """
    return _checked(read_text(path).text, path.stem, path.suffix)


def write_captions(folder: Path, captions: Mapping[str, str]) -> None:
    """Write captions by picture name, each where the folder keeps that picture's, atomically and as UTF-8.

    A picture that has none yet gets the form of the others: a row in ``metadata.jsonl`` or ``metadata.csv`` where its
    folder has such a file, ``.caption`` where only such files lie there, else ``.txt``. Two forms that agree or differ
    are all written, so that they agree afterwards.

    Raises:
        UserError: a picture is not there, or a text is empty or no plain text; then nothing is written.
    """
    listing = list_folder(folder, may_be_empty=True)
    known = {picture.name for picture in listing.pictures}
    lines = {name: " ".join(text.split()) for name, text in captions.items()}
    problems = [f"{name} is not a picture in {folder}" for name in lines if name not in known]
    problems += [f"{name}: the caption is empty" for name, text in lines.items() if not text]
    problems += [
        f"{name}: the caption is not plain text of up to {LIMIT_CAPTION_CHARACTERS:,} characters"
        for name, text in lines.items()
        if _cannot_be_read_well(text)
    ]
    raise_problems("The captions were not written:", problems[:10])
    for files in _caption_files(listing):
        files.write({picture: lines[picture.name] for picture in files.place.pictures if picture.name in lines})


class _CaptionFiles:
    """The files that hold the captions of one place; they remember what was read of them."""

    def __init__(self, place: Place, tables: Sequence[tuple[Table, int]]) -> None:
        """Sort the caption files by the names of their pictures.

        Args:
            tables: each with how many folders its file names have in front at least.
        """
        self.place = place
        self.tables = tables
        self.mentioned: set[tuple[Path, str]] = set()
        """The rows of tables that speak of pictures here."""
        self._exact = _by_key(place.beside, composed)
        self._folded = _by_key(place.beside, lambda stem: composed(stem).casefold())
        self._encodings: dict[str, str] = {}

    def read(self, picture: ImageFile) -> Caption:
        """Return a picture's caption, or why it has none that can be used."""
        found = [(table.path.name, table.captions[name]) for table, name in self._rows_of(picture)]
        try:
            found += [(path.suffix, self._text_of(path)) for path in self._beside(picture)]
            if not found and self.place.words:
                return Caption(self.place.words, FOLDER_NAME)
            return Caption(*self._chosen(picture, [(source, text.strip()) for source, text in found]))
        except UserError as error:
            return Caption("", problem=str(error))

    def write(self, captions: Mapping[ImageFile, str]) -> None:
        """Write captions where each picture has its own."""
        changes: dict[Path, dict[str, str]] = {}
        for picture, text in captions.items():
            rows, beside = self._rows_of(picture), self._beside(picture)
            if not rows and not beside and self.place.tables:
                changes.setdefault(self.place.tables[-1], {})[picture.path.name] = text
            elif not rows and not beside:
                beside = [self._new_file(picture)]
            for path in beside:
                write_text(path, text + "\n")
            for table, name in rows:
                changes.setdefault(table.path, {})[name] = text
        for table, _ in self.tables:
            if table.path in changes:
                write_text(table.path, table.changed(changes[table.path]))

    def notes(self) -> list[str]:
        """Return sentences on captions beside that no picture has, that several share, and that are not UTF-8."""
        prefix = self.place.prefix
        readers: dict[Path, list[str]] = {}
        for picture in self.place.pictures:
            for path in self._beside(picture) or [self._new_file(picture)] * (not self._rows_of(picture)):
                readers.setdefault(path, []).append(picture.name)
        notes = [
            f"{count_of(len(names), 'picture')} share one caption file, {prefix}{path.name}: {listed(names)}."
            for path, names in readers.items()
            if len(names) > 1
        ]
        alone = [prefix + path.name for path in self.place.beside if path not in readers]
        if alone:
            why = "to no picture that is read"
            notes.append(count_and_name(alone, "caption", f"belongs {why}", f"belong {why}"))
        return notes + _encoding_notes({prefix + name: encoding for name, encoding in self._encodings.items()})

    def _rows_of(self, picture: ImageFile) -> list[tuple[Table, str]]:
        found = [(table, name) for table, folders in self.tables for name in table.names_of(picture.path, folders)]
        self.mentioned |= {(table.path, name) for table, name in found}
        return found

    def _beside(self, picture: ImageFile) -> list[Path]:
        stem = composed(picture.path.stem)
        return self._exact.get(stem) or self._folded.get(stem.casefold()) or []

    def _text_of(self, path: Path) -> str:
        try:
            content = read_text(path)
        except UserError as error:
            raise UserError(f"{self.place.prefix}: {error}" if self.place.prefix else str(error)) from error
        self._encodings[path.name] = content.encoding
        return content.text

    def _chosen(self, picture: ImageFile, found: list[tuple[str, str]]) -> tuple[str, str]:
        if not found:
            raise UserError(
                f"{picture.name} has no caption. Put one into {picture.path.with_suffix('.txt').name}, or give one "
                "for all with --prompt."
            )
        if len({text for _, text in found}) > 1:
            places = " and ".join(dict.fromkeys(source for source, _ in found))
            raise UserError(f"{picture.name} has different captions in {places}. Keep one of them.")
        source, caption = found[0]
        return _checked(caption, picture.name, source), source.lower()

    def _new_file(self, picture: ImageFile) -> Path:
        suffixes = {path.suffix.lower() for path in self.place.beside}
        return picture.path.with_suffix(".caption" if suffixes == {".caption"} else ".txt")


def _caption_files(listing: Listing) -> list[_CaptionFiles]:
    """Return the caption files of each place; a table above folders with repeats speaks of them by their names."""
    above = [] if listing.is_flat else [(read_table(path), 1) for path in listing.top.tables]
    return [
        _CaptionFiles(place, [*((read_table(path), 0) for path in place.tables), *above]) for place in listing.places
    ]


def _table_notes(places: Sequence[_CaptionFiles]) -> list[str]:
    mentioned = {row for files in places for row in files.mentioned}
    notes = []
    for name, table in {
        (f"{files.place.prefix}{table.path.name}" if not folders else table.path.name): table
        for files in places
        for table, folders in files.tables
    }.items():
        gone = [row for row in table.captions if (table.path, row) not in mentioned]
        notes += [f"{name} speaks of {count_of(len(gone), 'picture')} not here: {listed(gone)}."] if gone else []
        notes += [f"Columns of {name} that are not used: {listed(table.unused)}."] if table.unused else []
        notes += _encoding_notes({name: table.encoding})
    return notes


def _encoding_notes(encodings: Mapping[str, str]) -> list[str]:
    odd = [f"{name} ({encoding})" for name, encoding in encodings.items() if encoding != UTF_8]
    why = "not UTF-8, and read all the same"
    return [count_and_name(odd, "caption file", f"is {why}", f"are {why}")] if odd else []


def _by_key(paths: Iterable[Path], key: Callable[[str], str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(paths, key=lambda path: (BESIDE.index(path.suffix.lower()), path.name)):
        found.setdefault(key(path.stem), []).append(path)
    return found


def _checked(text: str, name: str, source: str) -> str:
    if not text.strip():
        raise UserError(f"{name} has an empty caption in {source}. Write one, or give one for all with --prompt.")
    if _cannot_be_read_well(text):
        raise UserError(f"{name}: its caption in {source} is not plain text of a sensible length.")
    return " ".join(text.split())


def _cannot_be_read_well(caption: str) -> bool:
    return bool(not_plain(caption)) or len(caption) > LIMIT_CAPTION_CHARACTERS
