"""One folder, one registry: every module in a package that carries the record is found, nothing is listed by hand."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from trainers.errors import unknown

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class OneOf:
    """Marks a setting that is the name of a record, as in ``Annotated[str, OneOf(optimizers)]``.

    Command line, form and documentation offer the names that there are when they are asked for.
    """

    records: Callable[[], Mapping[str, Any]]
    """Gives the records by name."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: str) -> str:
        names = list(self.records())
        if value not in names:
            quoted = [repr(name) for name in names]
            expected = " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
        return value


@dataclass(frozen=True)
class Naming:
    """Marks a setting whose text names records in a form of its own, such as ``NAME=WHAT``; it checks nothing.

    Help and form list the words that there are when they are asked for.
    """

    words: Callable[[], Sequence[str]]
    """Gives what can be written."""


@dataclass(frozen=True)
class Late:
    """A function or class of a module that is imported when it is first called.

    Records name what is heavy in this way, so that listing them loads no model library.
    """

    place: str
    """``package.module:name``."""

    def resolve(self) -> Any:
        """Import the module and return what is meant."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.resolve()(*arguments, **named)


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
