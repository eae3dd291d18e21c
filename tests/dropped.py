"""A file dropped into a registry, as long as a test needs it."""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def dropped(
    package: ModuleType, records: Callable[[], Any], folder: Path, text: str, name: str = "zebra"
) -> Iterator[None]:
    """Put a module with one more record into a registry, and take it out again.

    Args:
        package: the registry.
        records: its cached function that returns the records by name.
        folder: an empty folder, where the file lies.
        text: the file.
        name: of the module.
    """
    cached: Any = records
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    package.__path__.append(str(folder))
    importlib.invalidate_caches()
    cached.cache_clear()
    try:
        yield
    finally:
        package.__path__.remove(str(folder))
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)
        cached.cache_clear()
