"""The inference process: reads jobs from standard input, a JSON line each, and writes their events to its output.

    in   {"id": 7, "job": "generate", "arguments": {…}}        {"cancel": 7}
    out  {"id": 7, "event": "started"} … and last {"id": 7, "event": "done"}, "cancelled", or "failed" with a "problem"

It ends when its input ends, so no inference process outlives the app.
"""

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from studio.library.library import Library
from trainers.errors import UserError
from trainers.quantiser import hide_quantiser


class _Inbox:
    """Jobs in order, and which of them were taken back."""

    def __init__(self, stream: IO[str]) -> None:
        self.jobs: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self.cancelled: set[int] = set()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            message = json.loads(line)
            if "cancel" in message:
                self.cancelled.add(message["cancel"])
            else:
                self.jobs.put(message)
        self.jobs.put(None)


def main(library_folder: str) -> None:
    """Work until the input ends."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not get between the events
    inbox = _Inbox(sys.stdin)
    hide_quantiser()
    from studio.engine.workbench import Workbench  # torch and the model libraries

    current: list[int] = [0]

    def send(event: Mapping[str, Any]) -> None:
        output.write(json.dumps({"id": current[0], **event}, ensure_ascii=True) + "\n")
        output.flush()

    def check() -> None:
        from studio.engine.job import Cancelled

        if current[0] in inbox.cancelled:
            raise Cancelled

    workbench = Workbench(Library(Path(library_folder)), send, check)
    while (message := inbox.jobs.get()) is not None:
        current[0] = int(message["id"])
        _work(workbench, message)
        inbox.cancelled.discard(current[0])


def _work(workbench: Any, message: Mapping[str, Any]) -> None:
    from studio.engine.job import Cancelled
    from studio.engine.jobs import engine_jobs

    try:
        workbench.check()
        workbench.tell({"event": "started"})
        for event in engine_jobs()[message["job"]].run(workbench, message["arguments"]):
            workbench.check()
            workbench.tell(event)
        workbench.tell({"event": "done"})
    except Cancelled:
        workbench.tell({"event": "cancelled"})
    except UserError as error:
        workbench.tell({"event": "failed", "problem": str(error)})
    except Exception as error:
        traceback.print_exc()  # into the process's log
        workbench.tell({"event": "failed", "problem": _unexpected(error)})


def _unexpected(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return "Memory ran out. Take a smaller picture or fewer at once, or close what else uses the device."
    return (
        f"Something unforeseen went wrong: {type(error).__name__}: {error}. The log of the inference process has more."
    )


if __name__ == "__main__":
    main(sys.argv[1])
