"""Jobs that a page waits for, so that its Cancel button can take them back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from studio.engine.client import Engine, Ticket


@dataclass(frozen=True)
class Tickets:
    """The open jobs of every page, by Gradio's name of the page's session."""

    engine: Engine
    _open: dict[str, list[Ticket]] = field(default_factory=dict)

    def run(self, request: gr.Request, job: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield a job's events as `Engine.run` does; leaving early takes it back."""
        page = str(request.session_hash)
        ticket = self.engine.submit(job, arguments)
        self._open.setdefault(page, []).append(ticket)
        try:
            yield from self.engine.follow(ticket)
        finally:
            left = [other for other in self._open.pop(page, []) if other is not ticket]
            if left:
                self._open[page] = left

    def cancel(self, request: gr.Request) -> bool:
        """Take back what the page waits for; return whether there was anything."""
        tickets = list(self._open.get(str(request.session_hash), []))
        for ticket in tickets:
            self.engine.cancel(ticket)
        return bool(tickets)
