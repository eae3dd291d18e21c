"""What lies in a folder of pictures: every file in exactly one place, so that nothing is passed over unseen.

A folder whose pictures lie in folders named ``<repeats>_<words>``, as kohya's trainers want them, is read with these.
Needs no torch.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainers.data.caption_tables import table_kind
from trainers.errors import UserError
from trainers.wording import count_and_name, count_of, listed

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
BESIDE = (".txt", ".caption")
OTHER_FORMS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".psd", ".svg", ".tga", ".tif", ".tiff"),
    *(".cr2", ".cr3", ".dng", ".nef", ".arw"),
)
LIMIT_REPEATS = 1_000
"""A larger number before the underscore is taken for a year or a date."""
_WITH_REPEATS = re.compile(r"([0-9]{1,4})_(.*\S.*)")
_DEPTH = 3


@dataclass(frozen=True)
class ImageFile:
    """One picture's file, not opened yet."""

    name: str
    """Path from the folder on, with ``/`` between: ``01.png`` or ``10_ink boat/01.png``."""
    path: Path


@dataclass(eq=False)
class Place:
    """One folder that pictures are read from, with all that lies in it."""

    path: Path
    prefix: str = ""
    """Stands before the names of its files: empty, or such as ``10_ink boat/``."""
    repeats: int = 1
    """How often each of its pictures is seen in a pass over the data."""
    words: str = ""
    """What the folder's name says behind the number; the caption of pictures that have none."""
    pictures: list[ImageFile] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    """Caption files."""
    tables: list[Path] = field(default_factory=list)
    """Tables of captions, such as ``metadata.jsonl``."""
    other_forms: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    undecodable: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Listing:
    """What a folder of pictures holds."""

    folder: Path
    places: tuple[Place, ...]
    """Where pictures are read: the folder itself, or its folders with repeats."""
    top: Place
    """The folder itself."""

    @property
    def is_flat(self) -> bool:
        """Whether the pictures lie in the folder itself."""
        return self.top in self.places

    @property
    def pictures(self) -> tuple[ImageFile, ...]:
        """All pictures that are read, in order."""
        return tuple(picture for place in self.places for picture in place.pictures)

    @property
    def repeats(self) -> dict[str, int]:
        """How often the pictures of a folder are seen in a pass, by the folder's name; empty without such folders."""
        return {place.prefix: place.repeats for place in self.places if place.prefix}

    def files(self) -> list[Path]:
        """Return the pictures with the captions that lie beside them, and the tables of captions."""
        top = [] if self.is_flat else self.top.tables
        files = [*top, *(path for place in self.places for path in (*place.beside, *place.tables))]
        return [*(picture.path for picture in self.pictures), *files]

    def passed_over(self) -> list[str]:
        """Return sentences that count and name what is not read: folders, other forms, hidden and all other files."""
        places = self.places if self.is_flat else (self.top, *self.places)
        read = [place.path for place in self.places]
        below = [(place.prefix + path.name, path) for place in places for path in place.folders if path not in read]
        notes = [_told_folder(name, *found) for name, path in below if any(found := _holds(path))]
        if not self.is_flat and self.top.beside:
            alone = [path.name for path in self.top.beside]
            notes.append(count_and_name(alone, "caption", "lies beside no picture", "lie beside no picture"))
        forms = [place.prefix + name for place in places for name in place.other_forms]
        if forms:
            rest = f"a form that is not read ({', '.join(sorted({Path(name).suffix.lower() for name in forms}))})"
            notes.append(
                count_and_name(forms, "picture", f"has {rest}", f"have {rest}") + " Save as PNG, JPEG or WebP what is "
                "to be learned."
            )
        for what, noun, why in (
            ("hidden", "hidden file", ""),
            ("undecodable", "file", ", for a name that is no Unicode text"),
            ("others", "other file", ""),
        ):
            names = [place.prefix + name for place in places for name in getattr(place, what)]
            notes += [count_and_name(names, noun, f"is not read{why}", f"are not read{why}")] if names else []
        return notes


def list_folder(folder: Path, *, may_be_empty: bool = False) -> Listing:
    """List a folder of pictures; no picture is opened.

    Pictures of the folder itself are read, and its folders are then passed over. Where it has none, those of folders
    named ``<repeats>_<words>`` are read, with up to 1,000 repeats. Names that begin with a dot are hidden.

    Raises:
        UserError: there is no such folder, or it holds no pictures that are read and must not be empty.
    """
    if not folder.exists():
        raise UserError(f"The data folder {folder} does not exist. Give a folder of pictures with --data.")
    if not folder.is_dir():
        raise UserError(f"The data {folder} is a file; a folder of pictures is expected.")
    top = _place(folder)
    listing = Listing(folder, (top,), top)
    if not top.pictures:
        below = [_place(path, repeats, words) for path, repeats, words in _with_repeats(top)]
        filled = tuple(place for place in below if place.pictures)
        listing = Listing(folder, filled, top) if filled else listing
    if not listing.pictures and not may_be_empty:
        raise UserError(_told_empty(listing))
    return listing


def composed(text: str) -> str:
    """Return a name with its accents composed (NFC): some systems write them decomposed, and one name is meant."""
    return unicodedata.normalize("NFC", text)


def _place(path: Path, repeats: int = 1, words: str = "") -> Place:
    prefix = f"{path.name}/" if words else ""
    place = Place(path, prefix, repeats, words)
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise UserError(f"The folder {path} cannot be read: {error.strerror}.") from error
    for entry in entries:
        suffix, name = entry.suffix.lower(), entry.name
        if not _is_text(name):
            place.undecodable.append(name.encode("utf-8", "backslashreplace").decode())
        elif name.startswith("."):
            place.hidden.append(name + "/" * entry.is_dir())
        elif entry.is_dir():
            place.folders.append(entry)
        elif not entry.is_file():
            place.others.append(name)
        elif suffix in SUFFIXES:
            place.pictures.append(ImageFile(prefix + name, entry))
        elif suffix in BESIDE:
            place.beside.append(entry)
        elif table_kind(name) is not None:
            place.tables.append(entry)
        elif suffix in OTHER_FORMS:
            place.other_forms.append(name)
        else:
            place.others.append(name)
    return place


def _with_repeats(top: Place) -> Iterator[tuple[Path, int, str]]:
    for path in top.folders:
        found = _WITH_REPEATS.fullmatch(path.name)
        if found and 1 <= int(found[1]) <= LIMIT_REPEATS:
            yield path, int(found[1]), found[2].strip()


def _holds(folder: Path, depth: int = _DEPTH) -> tuple[int, int]:
    """Return how many pictures and captions lie in a folder and the folders below it."""
    pictures = captions = 0
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return 0, 0
    for path in entries:
        if path.is_dir():
            below = _holds(path, depth - 1) if depth > 1 else (0, 0)  # a link may lead round in a ring
            pictures, captions = pictures + below[0], captions + below[1]
        else:
            pictures += path.suffix.lower() in (*SUFFIXES, *OTHER_FORMS)
            captions += path.suffix.lower() in BESIDE or table_kind(path.name) is not None
    return pictures, captions


def _told_folder(name: str, pictures: int, captions: int) -> str:
    number, noun = (pictures, "picture") if pictures else (captions, "caption file")
    return f"{name}/ holds {count_of(number, noun)} that {'is' if number == 1 else 'are'} not read."


def _told_empty(listing: Listing) -> str:
    below = dict(_filled(listing.folder))
    parents = {Path(name).parent for name in below if _WITH_REPEATS.fullmatch(Path(name).name)} - {Path()}
    if parents:
        advice = f"Folders with repeats lie in {listed(sorted(map(str, parents)))}: give that one."
    elif below:
        advice = (
            f"Its folders hold some: {listed(f'{name} ({count})' for name, count in below.items())}. Give one of them."
        )
    else:
        advice = f"Put {', '.join(SUFFIXES)} files there."
    if below and listing.top.tables:
        tables = listed(path.name for path in listing.top.tables)
        advice += f" Captions are read from {tables} where it lies beside the pictures: move it there."
    notes = [note for note in listing.passed_over() if not below or "/ holds " not in note]
    which = " that are read" if listing.top.other_forms else ""
    return " ".join([f"The data folder {listing.folder} holds no pictures{which}.", advice, *notes])


def _filled(folder: Path, above: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, int]]:
    """Return the folders below one that hold pictures of their own, by path, with how many."""
    for place in (_place(path) for path in _place(folder).folders):
        name = f"{above}{place.path.name}"
        if place.pictures:
            yield name, len(place.pictures)
        if depth > 1:
            yield from _filled(place.path, f"{name}/", depth - 1)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of a file system that are no UTF-8
        return False
    return True
