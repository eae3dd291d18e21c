"""How long work tells what it is doing; the command line and the web page each show it their own way."""

import sys
from types import TracebackType
from typing import Protocol, Self

from tqdm import tqdm


class Report(Protocol):
    """Where messages and progress go."""

    def say(self, text: str) -> None:
        """Tell one line."""
        ...

    def progress(self, what: str, done: int, total: int, note: str = "") -> None:
        """Tell how far a piece of work is; a new `what` begins a new piece."""
        ...


class Quiet:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Drop it."""

    def progress(self, what: str, done: int, total: int, note: str = "") -> None:
        """Drop it."""


class Terminal:
    """Lines on standard output, progress bars on standard error."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._what = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def say(self, text: str) -> None:
        """Print one line, above a running bar."""
        self._close_if_done()
        if self._bar is not None:
            self._bar.clear()
        print(text, flush=True)

    def progress(self, what: str, done: int, total: int, note: str = "") -> None:
        """Draw or move the bar."""
        if self._bar is None or what != self._what or self._bar.total != total:
            self._close()
            self._what = what
            self._bar = tqdm(
                total=total,
                desc=what,
                file=sys.stderr,
                initial=0,
                leave=True,
                dynamic_ncols=True,
                mininterval=0.3 if sys.stderr.isatty() else 20,  # a log file gets a line now and then, not thousands
            )
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._bar is not None and self._bar.n >= (self._bar.total or 0):
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
