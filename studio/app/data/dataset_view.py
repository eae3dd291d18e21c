"""What the Data tab shows of one folder, gathered without opening a picture."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from studio.engine.client import Engine
from studio.library.datasets import dataset_folder, dataset_names, datasets_folder, example_datasets
from studio.library.image_index import ImageIndex, Known
from studio.library.library import Library
from studio.runs.kinds.images.long_captions import surely_long_notes
from trainers.data.captions import Caption, read_captions
from trainers.data.likeness import Pair, near_duplicates
from trainers.data.listing import list_folder
from trainers.names import name_of
from trainers.paths import path_of
from trainers.wording import listed

PER_PAGE = 60


@dataclass(frozen=True)
class DatasetView:
    """A folder's pictures, in order, with what is known of each."""

    index: ImageIndex
    captions: dict[str, Caption] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What is passed over, and what is read otherwise than one might expect, in sentences."""

    @property
    def names(self) -> list[str]:
        """All pictures by name."""
        return list(self.captions)

    @property
    def pages(self) -> int:
        """How many pages the gallery has, at least 1."""
        return max(1, -(-len(self.captions) // PER_PAGE))

    def page(self, number: int) -> list[str]:
        """Return the names on a page, counted from 1."""
        start = (max(1, min(number, self.pages)) - 1) * PER_PAGE
        return self.names[start : start + PER_PAGE]

    def page_of(self, name: str) -> int:
        """Return the page that a picture is on."""
        return self.names.index(name) // PER_PAGE + 1 if name in self.captions else 1

    def thumbnail(self, name: str) -> str | None:
        """Return the path of a picture's thumbnail; None for no picture."""
        return str(self.index.thumbnail(name, self.known[name])) if name in self.known else None

    def neighbour(self, name: str, places: int) -> str:
        """Return the name some places on, or the first or last one."""
        names = self.names
        if not names:
            return ""
        position = names.index(name) + places if name in self.captions else 0
        return names[max(0, min(len(names) - 1, position))]

    def problems(self) -> list[tuple[str, str]]:
        """Return (picture, sentence) for everything that training would stumble over."""
        unreadable = [(name, known.problem) for name, known in self.known.items() if known.problem]
        return unreadable + [(name, caption.problem) for name, caption in self.captions.items() if caption.problem]

    def pairs(self, most_bits: int) -> list[Pair]:
        """Return the pictures that are nearly the same."""
        signatures = {name: item.signature for name, item in self.known.items() if item.signature}
        return near_duplicates(signatures, most_bits=most_bits)


def survey(engine: Engine, library: Library, folder: str) -> Iterator[tuple[int, int]]:
    """Let the inference process open what it has not opened yet; yield (done, total) on the way.

    Raises:
        UserError: there is no such folder, or it holds no pictures.
    """
    index = ImageIndex(library, Path(folder))
    if not _is_empty(library, folder) and index.unknown():
        for event in engine.run("survey_images", {"folder": str(index.folder)}):
            if event["event"] == "progress":
                yield event["done"], event["total"]


def view_of(library: Library, folder: str) -> DatasetView:
    """Return what is known of a folder's pictures that were surveyed; a dataset of the studio may be empty.

    Raises:
        UserError: there is no such folder, or a foreign one holds no pictures.
    """
    index = ImageIndex(library, Path(folder))
    if _is_empty(library, folder):
        return DatasetView(index, notes=tuple(list_folder(index.folder, may_be_empty=True).passed_over()))
    listing = list_folder(index.folder)
    known, found = index.read(), read_captions(listing)
    captions = {name: caption for name, caption in found.by_name.items() if name in known}
    long = surely_long_notes({name: caption.text for name, caption in captions.items()})
    times = listed(f"{name} × {count}" for name, count in listing.repeats.items())
    repeats = [f"Repeats in a pass over the data: {times}."] if times else []
    return DatasetView(index, captions, known, (*repeats, *found.notes, *long))


def _is_empty(library: Library, folder: str) -> bool:
    """Return whether a folder is a dataset of the studio without a picture yet."""
    return bool(own_dataset(library, folder)) and not list_folder(Path(folder), may_be_empty=True).pictures


def own_dataset(library: Library, folder: str) -> str:
    """Return the name of the studio's dataset that a folder is; empty when it is none."""
    place = path_of(folder).resolve()
    inside = place.parent == datasets_folder(library).resolve() and place.is_dir()
    return name_of(place.name) if folder and inside else ""


def dataset_choices(library: Library) -> list[tuple[str, str]]:
    """Return (label, folder) of all datasets that the studio knows, one's own first."""
    own = [(name, str(dataset_folder(library, name))) for name in dataset_names(library)]
    return own + [(name, str(folder)) for name, folder in example_datasets().items()]
