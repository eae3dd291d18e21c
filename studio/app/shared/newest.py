"""Only the newest counts: what a page asked for last makes its earlier requests stale."""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

_PAGES = 1000


@dataclass
class Newest:
    """By page, what was asked for last. Safe to use from many threads; the pages asked longest ago are forgotten."""

    _wanted: "OrderedDict[str, str]" = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def ask(self, page: str, what: str) -> None:
        """Note what a page wants now."""
        with self._lock:
            self._wanted[page] = what
            self._wanted.move_to_end(page)
            while len(self._wanted) > _PAGES:
                self._wanted.popitem(last=False)

    def is_stale(self, page: str, what: str) -> bool:
        """Return whether the page has asked for something else since."""
        with self._lock:
            return self._wanted.get(page, what) != what
