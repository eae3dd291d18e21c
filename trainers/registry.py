"""One folder, one registry: every module in a package that carries the record is found, nothing is listed by hand."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any, TypeVar

from trainers.errors import unknown

_Record = TypeVar("_Record")


def discover(package: ModuleType, record_name: str) -> dict[str, Any]:
    """Return the records of a package's modules by their `name`, in the order of the file names.

    Args:
        package: the package whose modules each hold one record; modules starting with an underscore are skipped.
        record_name: the upper-case variable that holds the record, e.g. ``METHOD``.

    Raises:
        RuntimeError: a module has no such record, or two records share a name.
    """
    records: dict[str, Any] = {}
    for module_info in pkgutil.iter_modules(package.__path__):
        if module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        record = getattr(module, record_name, None)
        if record is None:
            raise RuntimeError(f"{module.__name__} holds no {record_name}")
        if record.name in records:
            raise RuntimeError(f"{module.__name__} repeats the name {record.name!r}")
        records[record.name] = record
    return records


def find(kind: str, name: str, records: Mapping[str, _Record], advice: str = "") -> _Record:
    """Return the record of that name.

    Args:
        kind: what the records are, with a capital, as the error says it.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    if name not in records:
        raise unknown(kind, name, records, advice)
    return records[name]
