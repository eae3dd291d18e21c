"""The queue of runs: which wait, in what order, and a scheduler that starts each in a process of its own.

The order lies in the library (``queue.json``), so it outlives the page, the browser and the app. A run is a process of
its own session with its output in a file, so it goes on when the app that started it ends. Whether it still works is
told by its folder's lock, which the operating system frees however the process ends.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from studio.devices import default_device
from studio.library.library import Library, open_run_names
from studio.runs.control import Request, ask, forget_requests, note_kill, note_start, started_process, was_killed
from studio.runs.run import CONFIG_NAME, Run, find_run
from trainers.config_files import read_config
from trainers.errors import UserError
from trainers.storage import folder_is_locked, folder_lock, read_json, write_json

OUTPUT_NAME = "process.txt"
"""What the run's process printed: nothing, or the reason why it could not even begin."""
_OPEN = ("created", "stopped", "failed", "interrupted")


@dataclass(frozen=True)
class RunQueue:
    """The waiting runs of a library, in order. Every change is on disk before the call returns."""

    library: Library

    @property
    def _file(self) -> Path:
        return self.library.folder / "queue.json"

    def waiting(self) -> list[str]:
        """Return the names of the waiting runs that can still be started, first first."""
        if not self._file.exists():
            return []
        names = read_json(self._file, "queue")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(
                f"The queue {self._file} is damaged: it is no list of names. Delete that file and queue the runs "
                "again; they are all there."
            )
        there = set(open_run_names(self.library))
        return [name for name in dict.fromkeys(names) if name in there and _status(self.library, name) in _OPEN]

    def add(self, name: str) -> None:
        """Put a run at the end.

        Raises:
            UserError: there is no such run, it works already, waits already, or is done.
        """
        run = find_run(self.library, name)
        status = run.status()
        if status not in _OPEN:
            raise UserError(f"The run {name!r} is {status}; only a run that is not can be queued.")
        with self._changing() as names:
            if name in names:
                raise UserError(f"The run {name!r} waits in the queue already.")
            forget_requests(run.folder)
            names.append(name)

    def remove(self, name: str) -> None:
        """Take a run out; it keeps its work.

        Raises:
            UserError: it does not wait.
        """
        with self._changing() as names:
            self._check(name, names)
            names.remove(name)

    def move(self, name: str, places: int) -> None:
        """Move a waiting run towards the front (negative) or the end, as far as there is room.

        Raises:
            UserError: it does not wait.
        """
        with self._changing() as names:
            self._check(name, names)
            position = max(0, min(len(names) - 1, names.index(name) + places))
            names.remove(name)
            names.insert(position, name)

    def _check(self, name: str, names: list[str]) -> None:
        if name not in names:
            raise UserError(f"The run {name!r} does not wait in the queue. Waiting: {', '.join(names) or 'none'}.")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[str]]:
        place = self.library.folder / "queue"
        place.mkdir(parents=True, exist_ok=True)
        with folder_lock(place):
            before = self.waiting()
            names = list(before)
            yield names
            if names != before or not self._file.exists():
                write_json(self._file, names)


def stop_run(library: Library, name: str) -> None:
    """Ask a working run to stop after its step; its work is kept.

    Raises:
        UserError: it does not work.
    """
    ask_run(library, name, "stop")


def ask_run(library: Library, name: str, request: Request) -> None:
    """Ask a working run for something; it answers after its step.

    Raises:
        UserError: it does not work.
    """
    ask(_working(library, name).folder, request)


def kill_run(library: Library, name: str) -> None:
    """End a working run's process at once; it goes on later from its last checkpoint.

    Raises:
        UserError: it does not work.
    """
    run = _working(library, name)
    process = run.state().get("process") if folder_is_locked(run.folder) else started_process(run.folder)
    if not isinstance(process, int) or process <= 1:  # 0 and less would mean whole groups of processes
        return
    note_kill(run.folder)  # before it dies, so that nobody takes it for an accident
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(process).kill()
    for _ in range(100):
        if not folder_is_locked(run.folder):
            _note_killed(run)
            return
        time.sleep(0.02)


def is_starting(run: Run) -> bool:
    """Return whether a run's process was started and has not come as far as taking the run's lock."""
    return run.status() in _OPEN and started_process(run.folder) is not None


def _note_killed(run: Run) -> None:
    run.update(status="stopped", problem=None)
    forget_requests(run.folder)


def lane(device: str) -> str:
    """Return which queue a device's runs stand in: one for the CPU, one for each GPU."""
    if device == "auto":
        return default_device()
    return "cuda:0" if device == "cuda" else device


@dataclass
class Scheduler:
    """Starts waiting runs, one at a time on each device. Of several apps on one library only one schedules."""

    library: Library
    queue: RunQueue
    pause_seconds: float = 0.5
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)

    def run_forever(self) -> None:
        """Schedule until `close` is called; meant for a thread."""
        place = self.library.folder / "queue" / "scheduler"
        while not self._end.is_set():
            try:
                place.mkdir(parents=True, exist_ok=True)
                with folder_lock(place):
                    while not self._end.wait(self.pause_seconds):
                        self.tick()
            except (UserError, OSError):  # another app schedules, or the disk is full: look again
                pass
            except Exception:  # a queue that stands still for good is worse than a mistake that is told twice a second
                traceback.print_exc()
            self._end.wait(self.pause_seconds)

    def close(self) -> None:
        """End scheduling; runs that work go on."""
        self._end.set()

    def tick(self) -> None:
        """Note what ended, and start what can start."""
        for name, process in list(self._started.items()):
            if process.poll() is not None:
                del self._started[name]
                self._note_end(name, process.returncode)
        waiting = self.queue.waiting()
        taken = {self._lane(name) for name in self._working()}
        for name in waiting:
            device, run = self._lane(name), _run(self.library, name)
            if is_starting(run):  # by an app that was killed before it could take the run out
                self._take_out(name)
            elif device not in taken:
                taken.add(device)
                self._start(run)
                self._take_out(name)  # last: a run is in the queue or has a process, whenever the app is killed

    def _take_out(self, name: str) -> None:
        with contextlib.suppress(UserError):  # somebody just did
            self.queue.remove(name)

    def _start(self, run: Run) -> None:
        try:
            self._started[run.name] = start_worker(run)
        except OSError as error:  # no memory or no room for another process
            run.update(status="failed", problem=f"Its process cannot be started: {error}. Queue it again later.")

    def _working(self) -> list[str]:
        names = open_run_names(self.library)
        return [name for name in names if name in self._started or self._works(name)]

    def _works(self, name: str) -> bool:
        try:
            run = _run(self.library, name)
            return run.status() == "running" or is_starting(run)
        except UserError:  # its state is damaged: whether it works is told by its lock
            return folder_is_locked(run.folder)

    def _lane(self, name: str) -> str:
        try:  # unchecked: checking loads the model libraries, which the page's process never does
            return lane(str(read_config(self.library.run_folder(name) / CONFIG_NAME).get("device", "auto")))
        except UserError:
            return "cpu"  # broken settings: its own process says what is wrong with them

    def _note_end(self, name: str, code: int) -> None:
        """Write down a process that ended without a word: it could not begin, or was killed."""
        run = _run(self.library, name)
        if not run.folder.exists() or _status(self.library, name) not in ("created", "interrupted"):
            return
        if was_killed(run.folder):
            _note_killed(run)
            return
        said = (run.folder / OUTPUT_NAME).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if code < 0:
            cause = f"Its process was ended by signal {-code} ({signal.Signals(-code).name})"
            hint = ", most likely because memory ran out" if signal.Signals(-code).name == "SIGKILL" else ""
            run.update(status="failed", problem=f"{cause}{hint}. Resume it: it goes on from its last checkpoint.")
        else:
            run.update(status="failed", problem=said[-1] if said else f"Its process ended with code {code}.")


def start_worker(run: Run) -> subprocess.Popen[bytes]:
    """Start a run's process: its own session, no input, all output in a file, because a full pipe would stop it."""
    with open(run.folder / OUTPUT_NAME, "wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command, no shell
            [sys.executable, "-m", "studio", "work", str(run.folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with contextlib.suppress(UserError):  # no room for the note: until the run takes its lock, it seems to wait
        note_start(run.folder, process.pid)
    return process


def _run(library: Library, name: str) -> Run:
    return Run(library.run_folder(name), library)


def _status(library: Library, name: str) -> str:
    """Return a run's status, or damaged: one run that cannot be read does not stop the others."""
    try:
        return _run(library, name).status()
    except UserError:
        return "damaged"


def _working(library: Library, name: str) -> Run:
    run = find_run(library, name)
    if run.status() != "running" and not is_starting(run):
        raise UserError(f"The run {name!r} does not work now; it is {run.status()}.")
    return run
