"""Which files the app hands out: pictures that the studio made, what was made for downloading, and nothing else."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class ServedFiles:
    """The rule that stands before Gradio's own, which would hand out every file of an allowed folder."""

    whole: Sequence[Path]
    """Folders of which every file may be fetched: their files got their names from the studio."""
    pictures: Mapping[Path, str]
    """Folders of which only pictures may be fetched: folder -> the folder inside each of its items that holds them,
    such as ``previews`` for ``adapters/NAME/previews/1.png``; empty where they lie in the folder itself."""

    def serves(self, path: str) -> bool:
        """Return whether a file may be fetched by a path. Links are followed first; what is not there may not."""
        if not os.path.isabs(path) or "\0" in path:
            return False
        try:
            found = Path(path).resolve(strict=True)
        except (OSError, RuntimeError):  # not there, or links in a circle
            return False
        if not found.is_file():
            return False
        if any(_parts(found, folder) for folder in self.whole):
            return True
        for folder, inside in self.pictures.items():
            parts = _parts(found, folder)
            if parts and (not inside or (len(parts) == 3 and parts[1] == inside)):
                return found.suffix.lower() in PICTURES
        return False


def _parts(found: Path, folder: Path) -> tuple[str, ...]:
    """Return the way from a folder down to a file; none where it lies elsewhere or is hidden."""
    place = folder.resolve()
    parts = found.relative_to(place).parts if found.is_relative_to(place) else ()
    return () if any(part.startswith(".") for part in parts) else parts
