"""Tabs of the app: every room here that has a `tab.py` with a ``TAB`` is one, and nothing is listed by hand."""

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping

import studio.app
from studio.app.shared.tab_record import Tab


@functools.cache
def tabs() -> Mapping[str, Tab]:
    """Return every tab by name, in the order in which they stand.

    Raises:
        RuntimeError: two tabs share a name.
    """
    found: dict[str, Tab] = {}
    for room in pkgutil.iter_modules(studio.app.__path__, "studio.app."):
        if not room.ispkg or importlib.util.find_spec(f"{room.name}.tab") is None:
            continue
        tab: Tab = importlib.import_module(f"{room.name}.tab").TAB
        if tab.name in found:
            raise RuntimeError(f"{room.name} repeats the name {tab.name!r}")
        found[tab.name] = tab
    return dict(sorted(found.items(), key=lambda item: item[1].position))
