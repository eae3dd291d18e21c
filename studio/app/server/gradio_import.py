"""Import Gradio, and build a page with it, in half the time.

On import Gradio reads the source of each of its components and writes a stub file for editors beside it, and fills the
component's name into the documentation of each of its events. That takes longer than everything else together, and
nothing that runs needs it. What does it is replaced as soon as its module is loaded; if a later Gradio has it no
longer, nothing is replaced and the import is only slower.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

_LEFT_OUT = {
    "gradio.component_meta": ("", "create_or_modify_pyi"),
    "gradio.events": ("EventListener", "set_doc"),
}
"""Module -> the class in it, if any, and the function that does nothing from now on."""


class _Without(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules as everybody would, and takes functions out of them once they are loaded."""

    def __init__(self) -> None:
        self._inner: dict[str, importlib.abc.Loader] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _LEFT_OUT:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        self._inner[name], spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner[spec.name].create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner[module.__name__].exec_module(module)
        place, function = _LEFT_OUT[module.__name__]
        owner = getattr(module, place, None) if place else module
        if hasattr(owner, function):
            setattr(owner, function, _nothing)


def import_gradio_quickly() -> None:
    """Import Gradio without the stub files and the documentation that it writes for editors."""
    if "gradio" in sys.modules:
        return
    finder = _Without()
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module("gradio")
    finally:
        sys.meta_path.remove(finder)


@contextlib.contextmanager
def building_quickly() -> Iterator[None]:
    """Build a page in half the time; what is built is the same.

    Gradio makes a whole web application, and describes the whole page, each time that a page is left or given a queue,
    and uses only the last, which is made when the page is mounted. And it takes the signatures of its components apart
    anew for each of them.
    """
    from gradio.blocks import App, Block, Blocks

    make, describe = App.create_app, Blocks.get_config_file
    for kind in _with_subclasses(Block):
        function = inspect.unwrap(vars(kind).get("__init__", _nothing))
        if not hasattr(function, "__signature__") and inspect.isfunction(function):
            vars(function)["__signature__"] = inspect.signature(function)
    App.create_app = staticmethod(_nothing)
    Blocks.get_config_file = _nothing
    try:
        yield
    finally:
        App.create_app = staticmethod(make)
        Blocks.get_config_file = describe


@contextlib.contextmanager
def collecting_no_garbage() -> Iterator[None]:
    """Import and build a fifth sooner: what is made stays, and Python need not look through it for garbage meanwhile.

    What is there at the end is left out of all later searches too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def _with_subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    subclasses: list[type] = kind.__subclasses__()
    for below in subclasses:
        yield from _with_subclasses(below)
