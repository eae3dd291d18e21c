"""Comparisons drawn in the app, as they lie in a library; read without loading torch."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.library.library import Library
from trainers.errors import UserError, unknown
from trainers.storage import read_json

COMPARISON_NAME = "comparison.json"
GRID_NAME = "grid.png"


@dataclass(frozen=True)
class DrawnComparison:
    """One finished comparison."""

    folder: Path
    title: str
    finished: str
    judge: str
    sheets: tuple[Path, ...]
    downloads: tuple[Path, ...]
    """Sheets, tables and the page."""

    @property
    def name(self) -> str:
        """What it is called by: the server's own choice."""
        return self.folder.name

    @property
    def cells_folder(self) -> Path:
        """Where its pictures lie, and the votes on them."""
        return self.folder / f"{Path(GRID_NAME).stem}-cells"

    def means(self) -> list[list[str]]:
        """Return the table of means, its heads first."""
        return _table(self.folder / GRID_NAME.replace(".png", "-means.csv"))

    def cells(self) -> list[list[str]]:
        """Return the table of all cells, its heads first."""
        return _table(self.folder / GRID_NAME.replace(".png", ".csv"))


def comparisons_folder(library: Library) -> Path:
    """Return where comparisons lie."""
    return library.folder / "outputs" / "compare"


def drawn_comparisons(library: Library) -> list[DrawnComparison]:
    """Return the finished comparisons, the newest first."""
    files = sorted(comparisons_folder(library).glob(f"*/{COMPARISON_NAME}"), key=lambda path: -path.stat().st_mtime_ns)
    return [read_comparison(path.parent) for path in files]


def find_comparison(library: Library, name: str) -> DrawnComparison:
    """Return a comparison by name.

    Raises:
        UserError: there is none, or its file is broken.
    """
    names = [path.parent.name for path in comparisons_folder(library).glob(f"*/{COMPARISON_NAME}")]
    if name not in names:
        raise unknown("Comparison", name, names, "Draw one first.")
    return read_comparison(comparisons_folder(library) / name)


def read_comparison(folder: Path) -> DrawnComparison:
    """Read what the job wrote.

    Raises:
        UserError: the file is broken.
    """
    try:
        about: dict[str, Any] = read_json(folder / COMPARISON_NAME, "comparison")
        files = tuple(folder / Path(name).name for name in about["files"])
        sheets = tuple(path for path in files if path.suffix == ".png")
        return DrawnComparison(folder, str(about["title"]), str(about["finished"]), str(about["judge"]), sheets, files)
    except (KeyError, TypeError) as error:
        raise UserError(f"The comparison {folder} is broken: {error}. Draw it again.") from error


def span(seconds: float) -> str:
    """Return a time in the largest unit that suits it."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _table(path: Path) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return [line[:-1] for line in csv.reader(stream)]  # the last column is the judge, the same in every line
    except OSError as error:
        raise UserError(f"The table {path} cannot be read: {error.strerror}. Draw the comparison again.") from error
