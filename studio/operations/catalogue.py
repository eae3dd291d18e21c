"""What can be chosen, as plain JSON: methods and stages with their settings, blends, formats.

Reading it takes the model libraries and many seconds, so the inference process does that once and leaves the result in
the library's cache, under a key that changes with the files that it was read from.
"""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.library.library import Library
from studio.settings_schema import shapes_of
from trainers.storage import write_text

if TYPE_CHECKING:
    from trainers.methods import Method

_PACKAGES = ("trainers.methods", "trainers.stages", "pipelines.blends", "pipelines.formats")
_VERSION = "4"
"""Part of the key: what the entries hold."""


def catalogue_key() -> str:
    """Return a hash of the names, sizes and times of the files that the catalogue is read from; nothing is imported."""
    digest = hashlib.sha256(_VERSION.encode())
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        for folder in spec.submodule_search_locations or ():
            for path in sorted(Path(folder).glob("*.py")):
                facts = path.stat()
                digest.update(f"{package}/{path.name}/{facts.st_size}/{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:20]


def cached_catalogue(library: Library) -> Mapping[str, Any] | None:
    """Return the catalogue if this very version of it has been read before."""
    try:
        found = json.loads(catalogue_place(library).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("key") == catalogue_key() else None


def read_catalogue(library: Library) -> Mapping[str, Any]:
    """Read the catalogue from the registries, and keep it. Loads the model libraries."""
    found = {
        "key": catalogue_key(),
        "methods": _methods(),
        "stages": _stages(),
        "blends": _blends(),
        "formats": _formats(),
    }
    write_text(catalogue_place(library), json.dumps(found, ensure_ascii=False))
    return found


def catalogue_place(library: Library) -> Path:
    """Return the file in which it is kept."""
    return library.folder / "cache" / "catalogue.json"


def _methods() -> list[dict[str, Any]]:
    from trainers.methods import methods

    return [
        {
            "name": method.name,
            "title": method.title,
            "source": method.source,
            "summary": summary_of(method),
            "parts": list(method.parts),
            "recommended": {
                part: {"learning_rate": own.rate_on_pocket(), "settings": _plain(own.settings)}
                for part, own in method.recommended.items()
            },
            "fields": shapes_of(method.settings),
            "mergeable": method.mergeable,
            "needs_studio": method.needs_studio,
            "live_weight": method.live_weight,
            "lacks": dict(method.lacks),
        }
        for method in methods().values()
    ]


def summary_of(method: "Method") -> str:
    """Return what a method does, in a sentence: the one that its file begins with, without the name."""
    first = (sys.modules[method.settings.__module__].__doc__ or "").strip().partition("\n\n")[0]
    _, _, sentence = " ".join(first.split()).partition(": ")
    return sentence[:1].upper() + sentence[1:]


def _stages() -> list[dict[str, Any]]:
    from trainers.stages import stages

    return [
        {"name": stage.name, "title": stage.title, "forms": list(stage.forms), "fields": shapes_of(stage.settings)}
        for stage in stages().values()
    ]


def _blends() -> list[dict[str, Any]]:
    from pipelines.blends import blends

    return [
        {
            "name": blend.name,
            "title": blend.title,
            "source": blend.source,
            "kind": blend.kind,
            "by_block": blend.by_block,
            "learned": blend.learn is not None,
            "fields": shapes_of(blend.settings),
        }
        for blend in blends().values()
    ]


def _formats() -> list[dict[str, Any]]:
    from pipelines.formats import formats

    return [
        {
            "name": found.name,
            "title": found.title,
            "reads": found.read is not None,
            "writes": found.write is not None,
            "merges": found.merge is not None,
            "is_folder": found.is_folder,
        }
        for found in formats().values()
    ]


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
