"""The page's side of the inference process: start it, hand it jobs, listen, take jobs back."""

import contextlib
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from trainers.data.plain_text import plain_values
from trainers.errors import UserError

_LAST = ("done", "failed", "cancelled")


@dataclass
class Ticket:
    """One job that was handed in."""

    number: int
    job: str
    arguments: Mapping[str, Any]
    process: "subprocess.Popen[str]"
    """Which process it was handed to; it fails with that one, also when the next is running already."""
    events: "queue.SimpleQueue[dict[str, Any]]" = field(default_factory=queue.SimpleQueue)


class Engine:
    """The inference process, started with the first job and again after it died. Safe to use from many threads."""

    def __init__(self, library_folder: Path) -> None:
        self._folder = library_folder
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._open: dict[int, Ticket] = {}
        self._closed = False

    def submit(self, job: str, arguments: Mapping[str, Any]) -> Ticket:
        """Hand in a job; it waits behind those that were handed in before.

        Raises:
            UserError: the process cannot be started, or a text in the arguments is not plain.
        """
        plain_values(arguments, "What was asked")
        with self._lock:
            process = self._ensure()
            ticket = Ticket(next(self._numbers), job, arguments, process)
            self._open[ticket.number] = ticket
            _send(process, {"id": ticket.number, "job": job, "arguments": dict(arguments)})
        return ticket

    def ahead(self, ticket: Ticket) -> int:
        """Return how many jobs are before one in the queue."""
        return sum(number < ticket.number for number in list(self._open))

    def cancel(self, ticket: Ticket) -> None:
        """Take a job back: a waiting one never starts, a working one ends between two steps."""
        with self._lock:
            if ticket.number in self._open:
                _send(ticket.process, {"cancel": ticket.number})

    def run(self, job: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Hand in a job and yield its events until it is done. Leaving the loop early takes the job back.

        While it waits, ``{"event": "waiting", "ahead": n}`` comes twice a second.

        Raises:
            UserError: the job's own sentence, or that the process died.
        """
        yield from self.follow(self.submit(job, arguments))

    def follow(self, ticket: Ticket) -> Iterator[dict[str, Any]]:
        """Yield the events of a job that was handed in, as `run` does; for those who keep the ticket to cancel it.

        Raises:
            UserError: as `run`.
        """
        started = False
        try:
            while True:
                try:
                    event = ticket.events.get(timeout=0.5)
                except queue.Empty:
                    if not started:
                        yield {"event": "waiting", "ahead": self.ahead(ticket)}
                    continue
                started = True
                if event["event"] == "failed":
                    raise UserError(event["problem"])
                yield event
                if event["event"] in _LAST:
                    return
        finally:
            self.cancel(ticket)

    def result(self, job: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Hand in a job, wait for it, and return its last event of kind ``result``.

        Raises:
            UserError: as `run`.
        """
        found: dict[str, Any] = {}
        for event in self.run(job, arguments):
            if event["event"] == "result":
                found = event
        return found

    def warm(self) -> None:
        """Start the process, so that its libraries load while nobody waits."""
        with self._lock:
            self._ensure()

    def restart(self) -> None:
        """Start the process again: its memory is freed, and every open job fails with a sentence that says so."""
        with self._lock:
            process, self._process = self._process, None
            lost, self._open = self._open, {}
        for ticket in lost.values():
            problem = "The inference process was started again from the settings, which ended this. Ask again."
            ticket.events.put({"event": "failed", "problem": problem})
        _end(process)
        self.warm()

    def close(self) -> None:
        """End the process, at once if it does not end by itself; open jobs fail, and no further one is taken."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        _end(process)

    def _ensure(self) -> "subprocess.Popen[str]":
        if self._closed:
            raise UserError("The studio is being closed, so nothing more is begun. Start it again and ask again.")
        if self._process is None or self._process.poll() is not None:
            log = self._folder / "logs"
            log.mkdir(parents=True, exist_ok=True)
            with open(log / "inference.txt", "a", encoding="utf-8") as stream:
                stream.write(time.strftime("--- %Y-%m-%d %H:%M:%S\n"))
                stream.flush()
                self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                    [sys.executable, "-m", "studio.engine.process", str(self._folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stream,
                    text=True,
                    encoding="utf-8",
                    start_new_session=True,  # Ctrl-C is for the app, which then closes the input
                )
            threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        return self._process

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            _deliver(process.stdout, self._open)
        code = process.wait()
        with self._lock:
            lost = [ticket for ticket in self._open.values() if ticket.process is process]
            for ticket in lost:
                del self._open[ticket.number]
            if self._process is process:
                self._process = None
            if process.stdin is not None:
                with contextlib.suppress(OSError):  # what was not sent to it is told below
                    process.stdin.close()
        cause = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        hint = " Most likely memory ran out: take a smaller picture, or fewer at once." if code == -9 else ""
        for ticket in lost:
            problem = f"The inference process {cause}.{hint} It is started again with the next request."
            ticket.events.put({"event": "failed", "problem": problem})


def _send(process: "subprocess.Popen[str]", message: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ValueError):  # it just died; the listener tells every open job
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()


def _end(process: "subprocess.Popen[str] | None") -> None:
    if process is not None and process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _deliver(stream: IO[str], tickets: dict[int, Ticket]) -> None:
    for line in stream:
        with contextlib.suppress(ValueError):  # a torn last line of a killed process
            event = json.loads(line)
            ticket = tickets.get(event.pop("id"))
            if event["event"] in _LAST and ticket is not None:
                tickets.pop(ticket.number, None)
            if ticket is not None:
                ticket.events.put(event)
