"""The studio's own datasets: folders of pictures in the library, copies of others, and what may be written to.

library/datasets/NAME/    one folder per dataset, as `trainers.data` reads it
"""

import re
import shutil
from pathlib import Path

from studio.library.library import Library
from studio.resources import example_folder
from trainers.data.listing import BESIDE, SUFFIXES, list_folder
from trainers.errors import UserError
from trainers.names import folder_of, names_in, usable_name
from trainers.storage import new_folder

_EXAMPLES = ("styles", "subjects")


def datasets_folder(library: Library) -> Path:
    """Return where the studio's own datasets lie."""
    return library.folder / "datasets"


def dataset_names(library: Library) -> list[str]:
    """Return the names of the studio's own datasets, sorted."""
    return sorted(name for name, folder in names_in(datasets_folder(library)).items() if folder.is_dir())


def dataset_folder(library: Library, name: str) -> Path:
    """Return the folder of the dataset of that name, or where it would go.

    Raises:
        UserError: the name cannot be used.
    """
    return folder_of(datasets_folder(library), name)


def example_datasets() -> dict[str, Path]:
    """Return the datasets that ship with the studio, such as ``styles/blueprint``, by name."""
    found: dict[str, Path] = {}
    for group in _EXAMPLES:
        folder = example_folder(group)
        found |= {f"{group}/{path.name}": path for path in sorted(folder.iterdir()) if path.is_dir()}
    return found


def is_example(folder: Path) -> bool:
    """Return whether a folder is one of the installation's own, which nothing may change."""
    place = folder.resolve()
    return any(place.is_relative_to(example_folder(group).resolve()) for group in _EXAMPLES)


def check_writable(folder: Path) -> None:
    """Refuse to write into the pictures that ship.

    Raises:
        UserError: naming the folder and what to do.
    """
    if is_example(folder):
        raise UserError(
            f"{folder} ships with the studio, so nothing is written there. Copy it to your datasets first, and change "
            "the copy."
        )


def new_dataset(library: Library, name: str) -> Path:
    """Make an empty dataset.

    Raises:
        UserError: the name cannot be used, or is taken.
    """
    folder = dataset_folder(library, name)
    if folder.exists():
        raise UserError(f"There is a dataset {name!r} already. Choose another name, or open it.")
    with new_folder(folder):
        pass
    return folder


def copy_dataset(library: Library, source: Path, name: str) -> Path:
    """Copy a folder's pictures and captions, with its folders with repeats, to a new dataset, whole or not at all.

    Raises:
        UserError: the source holds no pictures, or the name cannot be used or is taken.
    """
    target = dataset_folder(library, name)
    if target.exists():
        raise UserError(f"There is a dataset {name!r} already. Choose another name, or open it.")
    listing = list_folder(source)
    with new_folder(target) as temporary:
        for path in listing.files():
            copy = temporary / path.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    return target


def free_run_name(library: Library, wanted: str) -> str:
    """Return a name that neither a run nor an adapter has: the wanted one, with a number if need be."""
    first = usable_name(wanted, "run")
    taken, name, number = {*names_in(library.runs_folder), *names_in(library.adapters_folder)}, first, 1
    while name in taken:
        number += 1
        name = f"{first[:90]}-{number}"
    return name


def unused_picture_name(folder: Path, ending: str) -> str:
    """Return the next number as a file name that no picture and no caption in a folder has."""
    taken = {path.stem for path in folder.iterdir() if path.suffix.lower() in (*SUFFIXES, *BESIDE)}
    number = max((int(stem) for stem in taken if re.fullmatch(r"[0-9]{1,6}", stem)), default=0) + 1
    return f"{number:04d}{ending}"
