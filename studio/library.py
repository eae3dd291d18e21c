"""The user's adapters and runs on disk.

library/
  adapters/NAME/        one folder per adapter (see trainers.adapter)
  runs/NAME/            one folder per training run (see studio.runs)
"""

import math
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from trainers.card import CARD_NAME, AdapterCard, check_name, read_card
from trainers.errors import UserError, unknown
from trainers.storage import TEMPORARY_PREFIX, folder_lock, sweep_temporary

if TYPE_CHECKING:
    from trainers.adapter import Adapter

ENVIRONMENT_VARIABLE = "STUDIO_LIBRARY"
_LEFTOVER_AGE_S = 24 * 3600
"""Temporary folders that nothing has touched for so long belong to writers that were killed."""


@dataclass(frozen=True)
class Library:
    """One library folder; it is made when something is first written."""

    folder: Path

    @property
    def adapters_folder(self) -> Path:
        """Where adapters lie."""
        return self.folder / "adapters"

    @property
    def runs_folder(self) -> Path:
        """Where runs lie."""
        return self.folder / "runs"

    def names(self) -> list[str]:
        """Return the names of all adapters, sorted."""
        return visible_parents(self.adapters_folder.glob(f"*/{CARD_NAME}"))

    def find(self, name: str) -> Path:
        """Return the folder of an adapter, given by name or by path.

        Raises:
            UserError: there is none; the nearest names are given.
        """
        if os.sep in name or name.startswith("."):
            folder = Path(name).expanduser()
            if not (folder / CARD_NAME).is_file():
                raise UserError(f"{name} is not an adapter's folder: it holds no {CARD_NAME}.")
            return folder
        if name not in self.names():
            raise unknown(
                "Adapter",
                name,
                self.names(),
                f"The library is {self.folder}; train one with 'studio train' or 'studio text train'.",
            )
        return self.adapters_folder / name

    def read(self, name: str) -> "Adapter":
        """Read and check an adapter by name or path; ``NAME@STEP`` is what its run's checkpoint of that step holds."""
        from trainers.adapter import read_adapter  # reads tensors, so it loads torch; listing does not

        adapter, at, step = name.partition("@")
        if at and os.sep not in name:
            from studio.checkpoint_adapters import adapter_at  # hashes and reads tensors; the others need none of it

            return adapter_at(self, adapter, step)
        return read_adapter(self.find(name))

    def card(self, name: str) -> AdapterCard:
        """Read an adapter's card by name or path."""
        return read_card(self.find(name))

    def new_adapter_folder(self, name: str) -> Path:
        """Return where an adapter of that name would go.

        Raises:
            UserError: the name cannot be used, or is taken.
        """
        folder = self.adapters_folder / check_name(name)
        if folder.exists():
            raise UserError(
                f"The library has an adapter {name!r} already. Choose another --name, or remove it first with "
                f"'studio remove {name}'."
            )
        sweep_temporary(self.adapters_folder, _LEFTOVER_AGE_S)
        return folder

    def remove_if_there(self, name: str) -> None:
        """Remove an adapter and its run, whichever exist."""
        if (self.adapters_folder / name).is_dir() or (self.runs_folder / name).is_dir():
            self.remove(name)

    def remove(self, name: str) -> list[str]:
        """Remove an adapter, the run that made it, or both; return what was removed, a line each.

        Raises:
            UserError: the library has neither, or a process is working on the run.
        """
        check_name(name)
        removed = []
        if self.remove_run(name):
            removed.append(f"Removed the run {name}.")
        if self.remove_adapter(name):
            removed.append(f"Removed the adapter {name}.")
        if not removed:
            self.find(name)  # raises with the nearest names
        return removed

    def remove_adapter(self, name: str) -> bool:
        """Remove an adapter and leave its run; return whether there was one, also one that lost its card."""
        folder = self.adapters_folder / check_name(name)
        if not folder.is_dir():
            return False
        _bury(folder)
        return True

    def remove_run(self, name: str) -> bool:
        """Remove a run; return whether there was one.

        Raises:
            UserError: a process is working on it.
        """
        folder = self.runs_folder / check_name(name)
        if not folder.is_dir():
            return False
        with folder_lock(folder):
            _bury(folder)
        return True


def _bury(folder: Path) -> None:
    """Delete a folder; it is at once out of sight, also when deleting is cut short."""
    grave = folder.parent / f"{TEMPORARY_PREFIX}removed-{folder.name}"
    shutil.rmtree(grave, ignore_errors=True)
    os.rename(folder, grave)
    shutil.rmtree(grave, ignore_errors=True)


def open_library(folder: str | None) -> Library:
    """Return the library at a folder, else at STUDIO_LIBRARY, else in the user's data folder."""
    chosen = folder or os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        place = Path(chosen).expanduser()
        if place.exists() and not place.is_dir():
            raise UserError(f"The library {place} is a file. Give a folder, with --library or STUDIO_LIBRARY.")
        return Library(place)
    return Library(platformdirs.user_data_path("adapter-studio", appauthor=False))


def adapter_size_bytes(folder: Path) -> int:
    """Return the bytes of an adapter's tensor files, as they were forecast: without previews, card and references."""
    return sum(path.stat().st_size for path in folder.glob("*/*.safetensors"))


def parse_weighted(text: str) -> tuple[str, float]:
    """Split ``NAME:WEIGHT`` (``NAME`` alone means weight 1).

    Raises:
        UserError: the weight is no number.
    """
    name, colon, weight = text.rpartition(":")
    if not colon:
        return text, 1.0
    try:
        value = float(weight)
        if not math.isfinite(value):
            raise ValueError
        return name, value
    except ValueError as error:
        raise UserError(
            f"The weight {weight!r} in {text!r} is no number. Write NAME:WEIGHT, such as blueprint:0.8 or subject:-0.5."
        ) from error


def parse_adapters(texts: list[str]) -> dict[str, float]:
    """Return name -> weight for several ``NAME:WEIGHT``.

    Raises:
        UserError: a name is given twice.
    """
    weights: dict[str, float] = {}
    for text in texts:
        name, weight = parse_weighted(text)
        if name in weights:
            raise UserError(f"The adapter {name!r} is given twice. Give it once, with the sum of the weights.")
        weights[name] = weight
    return weights


def open_run_names(library: Library) -> list[str]:
    """Return the names of all runs, sorted."""
    return visible_parents(library.runs_folder.glob("*/config.yaml"))


def visible_parents(files: Iterable[Path]) -> list[str]:
    """Return the names of the files' folders, sorted, without what a killed writer left behind."""
    names = {path.parent.name for path in files}
    return sorted(name for name in names if not name.startswith("."))
