"""Several processes on one run: the main one creates the run, writes and decides; the others join it.

Gradients go through torch's process group. Everything else goes over a line from each process to the main one. A line
needs no time limit: the others wait as long as samples are drawn, and are told at once when a process dies.
"""

import contextlib
import os
import queue
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from studio.runs.launch import Launch
from studio.runs.lines import Line, open_server
from trainers.errors import UserError
from trainers.processes import Processes

_PATIENCE = timedelta(minutes=20)
"""How long processes wait for each other to come, and for each other's gradients."""
_MOMENT_SECONDS = 1.0
"""How long the main process may take to find for itself what another one has just told."""
_GRACE_SECONDS = 10.0
"""How long a process that waits on a GPU for a lost one may take to come back; a launcher kills after 30."""


class _Lost(BaseException):
    """Takes the main thread out of whatever it does; no Exception, because libraries swallow those."""


class Team:
    """The processes of one run, as one of them sees it. One process alone is a team too."""

    def __init__(self, launch: Launch = Launch(), lines: Mapping[int, Line] | None = None) -> None:  # noqa: B008
        self.launch = launch
        self.lost = threading.Event()
        self.problem: str | None = None
        """Why the run cannot go on, once `lost` is set; None where the main process ended and has told it."""
        self.code = 2
        """The exit status that the main process ended with."""
        self.stop_asked = False
        """Whether a process other than the main one was asked to stop."""
        self.last_word: Callable[[str], None] = lambda problem: None
        """Writes down the problem where the program cannot come to its end any more."""
        self._lines = dict(lines or {})
        self._told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ended: set[int] = set()
        self._over = False
        for rank, line in self._lines.items():
            line.listen(lambda message, rank=rank: self._hear(rank, message))  # type: ignore[misc]

    @property
    def processes(self) -> Processes:
        """Who they are."""
        return self.launch.processes

    def sentences(self, config: Any) -> list[str]:
        """Return what a user should know of how many processes there are."""
        if (count := self.processes.count) == 1:
            return [self.launch.note] if self.launch.note else []
        seen = count * config.batch_size * config.gradient_accumulation_steps
        return [f"{count} processes train together, each with the whole base: a step learns from {seen} examples."]

    def share(self, value: Any) -> Any:
        """Return the main process's value in every process; the others wait for it.

        Raises:
            UserError: a process is gone.
        """
        if self.processes.count == 1:
            return value
        if not self.processes.is_main:
            value = self._told.get()
        elif not self.lost.is_set():
            for line in self._lines.values():
                line.send(value=value)
        self.check()
        return value

    def check(self) -> None:
        """Raise a UserError if a process is gone."""
        if self.lost.is_set():
            raise self._error()

    def _error(self) -> UserError:
        return UserError(self.problem or "The main process has ended.")

    def ask_stop(self) -> None:
        """Ask the main process to stop the run after the step."""
        for line in self._lines.values():
            line.send(stop=True)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Raise a UserError for the loss of a process, in place of what follows from it."""
        try:
            yield
        except _Lost:
            raise self._error() from None
        except Exception as error:
            self._over = True
            follows = self.processes.count > 1 and not isinstance(error, UserError)
            if follows and self.lost.wait(2 * _MOMENT_SECONDS):
                raise self._error() from error
            raise

    def placed(self, config: Any) -> Any:
        """Return settings with this process's own device: of several on a machine with GPUs each takes one.

        Raises:
            UserError: one GPU was named for all, or there are fewer GPUs than processes.
        """
        launch = self.launch
        if launch.processes.count == 1:
            return config
        import torch

        if config.device == "cpu" or (config.device == "auto" and not torch.cuda.is_available()):
            return config
        if ":" in config.device:
            raise UserError(
                f"{launch.processes.count} processes cannot share the device {config.device!r}. Use --device cuda, by "
                "which each takes a GPU of its own, and CUDA_VISIBLE_DEVICES to choose among them."
            )
        if launch.local_count > torch.cuda.device_count():
            raise UserError(
                f"{launch.local_count} processes need a GPU each, and torch sees {torch.cuda.device_count()}. Start "
                "fewer, or use --device cpu."
            )
        torch.cuda.set_device(launch.local_rank)
        return config.model_copy(update={"device": f"cuda:{launch.local_rank}"})

    def end(self, problem: str | None, code: int = 0) -> None:
        """Tell the other processes that this one ends, and why, so that nobody takes it for an accident."""
        self._over = True
        for line in self._lines.values():
            line.send(end=problem, code=code)
            line.close()

    def _hear(self, rank: int, message: Mapping[str, Any] | None) -> None:
        """Take in what another process says; called by the lines' threads."""
        if message is None:
            if rank not in self._ended:
                self._lose(f"{self._named(rank)} ended without a word; it was killed, or memory ran out.", 0)
        elif "end" in message:
            self._ended.add(rank)
            if rank == 0:
                self.code = int(message["code"])
                self._lose(None, 0)
            elif message["end"] is not None:
                self._lose(f"{self._named(rank)} cannot go on: {message['end']}", _MOMENT_SECONDS)
        elif "stop" in message:
            self.stop_asked = True
        else:
            self._told.put(message["value"])

    def _named(self, rank: int) -> str:
        return f"Process {rank + 1} of {self.processes.count}{' (the main one)' if rank == 0 else ''}"

    def _lose(self, problem: str | None, after_seconds: float) -> None:
        """Wake the main thread with an error, wherever it is; end the process if it does not come."""
        if self.lost.is_set():
            return
        if problem is not None:
            problem += " The work is kept: go on with --resume, from the last checkpoint, once all processes can run."
        self.problem = problem
        self.lost.set()
        if self._over:  # an error that follows from the loss may come first, and waits for this to explain it
            return
        self._told.put(None)
        for wait, act in ((after_seconds, self._interrupt), (_GRACE_SECONDS, self._force)):
            timer = threading.Timer(wait, act)
            timer.daemon = True
            timer.start()

    def _interrupt(self) -> None:
        if not self._over:
            os.kill(os.getpid(), signal.SIGUSR1)

    def _force(self) -> None:
        """End a process whose main thread waits for what never comes, as it does in a library of a GPU."""
        if self._over:
            return
        if self.problem is not None:
            print(f"studio: {self.problem}", file=sys.stderr, flush=True)
            self.last_word(self.problem)
        os._exit(self.code)

    def raise_if_lost(self, *_: object) -> None:
        """Handle the signal by which a line's thread wakes the main one."""
        if self.lost.is_set() and not self._over:
            self._over = True
            raise _Lost

    def end_on_signal(self, *_: object) -> None:
        """End at once, unless the end is on its way: launchers ask all processes to end as soon as one is gone."""
        if not (self.lost.is_set() or self._over):
            raise KeyboardInterrupt


@contextlib.contextmanager
def joined(launch: Launch) -> Iterator[Team]:
    """Meet the other processes of this launch; whatever ends the block ends it for all of them.

    Raises:
        UserError: not all of them came.
    """
    if launch.processes.count == 1:
        yield Team(launch)
        return
    team = Team(launch, _connect(launch))
    before = {
        number: signal.signal(number, handle)
        for number, handle in ((signal.SIGUSR1, team.raise_if_lost), (signal.SIGTERM, team.end_on_signal))
    }
    try:
        with team.explained():
            yield team
    except BaseException as error:
        team.end(_sentence(error), code=130 if isinstance(error, KeyboardInterrupt) else 2)
        raise
    else:
        from torch import distributed

        team.end(None)
        distributed.destroy_process_group()
        for number, handle in before.items():
            signal.signal(number, handle)


def _sentence(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    return "It was stopped." if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"


def _connect(launch: Launch) -> dict[int, Line]:
    """Join torch's process group, and lay a line from every process to the main one."""
    import torch
    from torch import distributed

    processes = launch.processes
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"
    try:
        distributed.init_process_group(backend, timeout=_PATIENCE)
        place: list[Any] = [None]
        host = os.environ["MASTER_ADDR"]
        if not processes.is_main:
            distributed.broadcast_object_list(place, src=0)
            port, token = place[0]
            line = Line(socket.create_connection((host, port), timeout=_PATIENCE.total_seconds()))
            line.send(rank=processes.rank, token=token)
            return {0: line}
        with open_server(host) as server:
            place = [(server.getsockname()[1], secrets.token_hex(16))]
            distributed.broadcast_object_list(place, src=0)
            server.settimeout(_PATIENCE.total_seconds())
            lines: dict[int, Line] = {}
            while len(lines) < processes.count - 1:
                line = Line(server.accept()[0])
                hello = line.receive() or {}
                if hello.get("token") == place[0][1]:  # anyone on this machine can knock
                    lines[int(hello["rank"])] = line
            return lines
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"The {processes.count} processes of this launch did not find each other: {reason}. Start them together, "
            "as with torchrun --nproc_per_node N -m studio …"
        ) from error
