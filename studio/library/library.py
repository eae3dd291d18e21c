"""The user's adapters and runs on disk.

library/
  adapters/NAME/        one folder per adapter (see trainers.adapter)
  runs/NAME/            one folder per training run (see studio.runs.run)

How a name becomes a folder's stands in trainers.names.
"""

import math
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from trainers.card import CARD_NAME, AdapterCard, read_card
from trainers.data.plain_text import plain_text
from trainers.errors import UserError, unknown
from trainers.names import check_name, composed, folder_of, names_in
from trainers.paths import path_of
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

    def option(self) -> list[str]:
        """Return what a command needs to look into this library: nothing where it does so by itself."""
        return [] if self.folder == open_library(None).folder else ["--library", str(self.folder)]

    def adapter_folder(self, name: str) -> Path:
        """Return the folder of the adapter of that name, or where it would go.

        Raises:
            UserError: the name cannot be used.
        """
        return folder_of(self.adapters_folder, name)

    def run_folder(self, name: str) -> Path:
        """Return the folder of the run of that name, or where it would go.

        Raises:
            UserError: the name cannot be used.
        """
        return folder_of(self.runs_folder, name)

    def adapters(self) -> dict[str, Path]:
        """Return name -> folder of all adapters, sorted by name."""
        return _holding(self.adapters_folder, CARD_NAME)

    def runs(self) -> dict[str, Path]:
        """Return name -> folder of all runs, sorted by name."""
        return _holding(self.runs_folder, "config.yaml")

    def names(self) -> list[str]:
        """Return the names of all adapters, sorted."""
        return list(self.adapters())

    def find(self, name: str) -> Path:
        """Return the folder of an adapter, given by name or by path.

        Raises:
            UserError: there is none; the nearest names are given.
        """
        there, kept = self.adapters(), composed(name)
        if kept in there:
            return there[kept]
        place = path_of(name)
        if is_path(name) and (place / CARD_NAME).is_file():
            return place
        if place.is_file():
            raise UserError(
                f"{name} is a file, not an adapter of the library. Bring it in first: studio import "
                f"{shlex.quote(name)} --base BASE"
            )
        if is_path(name):
            raise UserError(f"{name} is not an adapter's folder: it holds no {CARD_NAME}.")
        raise unknown(
            "Adapter",
            name,
            there,
            f"The library is {self.folder}; train one with 'studio train' or 'studio text train'.",
        )

    def read(self, name: str) -> "Adapter":
        """Read and check an adapter by name or path; ``NAME@STEP`` is what its run's checkpoint of that step holds."""
        from trainers.adapter import read_adapter  # reads tensors, so it loads torch; listing does not

        adapter, at, step = name.partition("@")
        if at and not is_path(name):
            from studio.library.checkpoint_adapters import (
                adapter_at,  # hashes and reads tensors; the others need none of it
            )

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
        folder = self.adapter_folder(name)
        if folder.exists():
            raise UserError(
                f"The library has an adapter {name!r} already. Choose another --name, or remove it first: "
                f"{shlex.join(['studio', 'remove', name, *self.option()])}"
            )
        sweep_temporary(self.adapters_folder, _LEFTOVER_AGE_S)
        return folder

    def remove_if_there(self, name: str) -> None:
        """Remove an adapter and its run, whichever exist."""
        if self.adapter_folder(name).is_dir() or self.run_folder(name).is_dir():
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
        folder = self.adapter_folder(name)
        if not folder.is_dir():
            return False
        _bury(folder)
        return True

    def remove_run(self, name: str) -> bool:
        """Remove a run; return whether there was one.

        Raises:
            UserError: a process is working on it.
        """
        folder = self.run_folder(name)
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
        place = path_of(plain_text(chosen, f"The library {chosen}"))
        if place.exists() and not place.is_dir():
            raise UserError(f"The library {place} is a file. Give a folder, with --library or STUDIO_LIBRARY.")
        return Library(place)
    return Library(platformdirs.user_data_path("adapter-studio", appauthor=False))


def adapter_size_bytes(folder: Path) -> int:
    """Return the bytes of an adapter's tensor files, as Preflight says it: without previews, card and references."""
    return sum(path.stat().st_size for path in folder.glob("*/*.safetensors"))


def parse_weighted(text: str) -> tuple[str, float]:
    """Split ``NAME:WEIGHT`` (``NAME`` alone means weight 1).

    Raises:
        UserError: the weight is no number.
    """
    name, colon, weight = text.rpartition(":")
    if not colon:
        return _composed(text), 1.0
    try:
        value = float(weight)
        if not math.isfinite(value):
            raise ValueError
        return _composed(name), value
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
    return list(library.runs())


def _composed(name: str) -> str:
    """Return a name as the library keeps it; a path stays letter for letter."""
    return name if is_path(name) else composed(name)


def is_path(text: str) -> bool:
    """Return whether a text can only be a path, because no name holds or begins with such signs."""
    return "/" in text or os.sep in text or text.startswith((".", "~"))


def _holding(parent: Path, file: str) -> dict[str, Path]:
    """Return name -> folder of those that hold a file, sorted, without what a killed writer left behind."""
    return {name: folder for name, folder in sorted(names_in(parent).items()) if (folder / file).exists()}
