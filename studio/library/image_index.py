"""What is known of a folder's pictures without opening them: size, thumbnail, signature, and why one cannot be read.

The inference process decodes the pictures and writes this down (`studio.engine.jobs.survey_images`); the page only
reads it. It lies in the library's cache, by folder, and may be deleted at any time.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from studio.library.library import Library
from trainers.data.listing import list_folder
from trainers.errors import UserError
from trainers.storage import read_json, write_json

THUMBNAIL_PX = 512
"""Longer side of a thumbnail, at most."""


@dataclass(frozen=True)
class Known:
    """One picture as it was when it was last opened."""

    stamp: str
    """Changes when the file does."""
    width_px: int = 0
    height_px: int = 0
    signature: str = ""
    """See `trainers.data.likeness`."""
    problem: str = ""
    """Why it cannot be read; empty when it can."""


@dataclass(frozen=True)
class ImageIndex:
    """What is known of one folder."""

    library: Library
    folder: Path

    @property
    def place(self) -> Path:
        """Where the index and the thumbnails of this folder lie."""
        own = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:20]
        return thumbnails_folder(self.library) / own

    def thumbnail(self, name: str, known: Known) -> Path:
        """Return where a picture's thumbnail lies; one that cannot be read has a crossed box there."""
        return self.place / f"{hashlib.sha256(f'{name} {known.stamp}'.encode()).hexdigest()[:24]}.jpg"

    def read(self) -> dict[str, Known]:
        """Return what is known of the pictures that are there now, by name; changed ones are not in it.

        Raises:
            UserError: there is no such folder, or it holds no pictures.
        """
        stored = self._stored()
        found = {}
        for picture in list_folder(self.folder).pictures:
            known = stored.get(picture.name)
            same = known is not None and known.stamp == stamp_of(picture.path)
            if known is not None and same and self.thumbnail(picture.name, known).exists():
                found[picture.name] = known
        return found

    def unknown(self) -> list[str]:
        """Return the names of the pictures that must be opened before all is known."""
        known = self.read()
        return [picture.name for picture in list_folder(self.folder).pictures if picture.name not in known]

    def write(self, entries: Mapping[str, Known]) -> None:
        """Replace the index, and drop thumbnails that belong to nothing in it."""
        write_json(self.place / "index.json", {name: asdict(known) for name, known in entries.items()})
        wanted = {self.thumbnail(name, known).name for name, known in entries.items()}
        for path in self.place.glob("*.jpg"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _stored(self) -> dict[str, Known]:
        path = self.place / "index.json"
        try:
            return {name: Known(**entry) for name, entry in read_json(path, "picture index").items()}
        except (UserError, TypeError, AttributeError):
            return {}  # a cache: whatever is wrong with it, it is made again


def thumbnails_folder(library: Library) -> Path:
    """Return where the thumbnails of all folders lie."""
    return library.folder / "cache" / "thumbnails"


def stamp_of(path: Path) -> str:
    """Return what changes when a file does."""
    state = path.stat()
    return f"{state.st_mtime_ns}-{state.st_size}"


def sizes_told(entries: Mapping[str, Known]) -> list[tuple[str, int]]:
    """Return (size such as ``512 x 768``, number of pictures), the commonest first."""
    sizes = Counter(f"{item.width_px} × {item.height_px}" for item in entries.values() if not item.problem)
    return sizes.most_common()


def aspects_told(entries: Mapping[str, Known]) -> list[tuple[str, int]]:
    """Return (shape, number of pictures): square within 5 percent, else upright or wide."""
    return Counter(_aspect(item) for item in entries.values() if not item.problem).most_common()


def _aspect(item: Known) -> str:
    ratio = item.width_px / item.height_px
    if 0.95 <= ratio <= 1.05:
        return "1:1"
    return f"{ratio:.2f}:1" if ratio > 1 else f"1:{1 / ratio:.2f}"
