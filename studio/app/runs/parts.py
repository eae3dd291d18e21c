"""What a part of the tab Runs is: it shows something of the runs, and changes only when that has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gradio as gr

from studio.app.runs.panel import RunPanel, nearest
from studio.app.shared.desk import Desk
from studio.app.shared.named_inputs import Changes
from studio.runs.metrics import MetricsShelf
from studio.runs.watch import RunRow, find_row, first_row, run_rows


@dataclass(frozen=True)
class Choice:
    """What a page wants to see."""

    name: str | None
    """The run that stands in the box."""
    own: str
    """The run that the user chose, or another tab sent; else the one that works is shown."""
    beside: list[str] | None
    """Runs whose lines are laid over it."""
    smoothing: float
    logarithmic: bool
    place: float
    """The step whose samples are shown."""
    every: bool
    """Whether the samples of all steps are shown."""
    looked_back: str
    """The run of which an older sample than the newest was chosen."""
    seen: dict[str, Any]
    """What the page shows: by part, and the run's name and the steps of its samples as `name` and `steps`."""


@dataclass(frozen=True)
class Look:
    """What there is to show."""

    choice: Choice
    request: gr.Request
    desk: Desk
    shelf: MetricsShelf
    rows: Sequence[RunRow]
    row: RunRow | None
    """The run that is shown; None while there is none."""
    beside: Sequence[str]
    """The runs to lay over it that are still there."""
    panel: RunPanel | None
    stamp: Any
    """Changes with what there is to show of the run."""
    steps: Sequence[int]
    """The steps that there are samples of."""

    @property
    def name(self) -> str:
        """The name of the run that is shown."""
        return self.row.name if self.row else ""

    @property
    def step(self) -> int:
        """The step whose samples are shown: it follows the newest unless the user looked back in this run."""
        newest = self.steps[-1] if self.steps else 0
        looks_back = self.row is not None and self.choice.looked_back == self.row.name
        return nearest(self.steps, self.choice.place) if looks_back else newest

    def say(self, key: str, **values: object) -> str:
        """Return a text in the reader's language."""
        return self.desk.words.say(self.request, key, **values)


class Part(Protocol):
    """One part of the tab."""

    outputs: Mapping[str, Any]
    """What it changes: name -> component. No name stands in two parts."""

    def depends_on(self, look: Look) -> Any:
        """Return what its content follows from; as long as that is equal, nothing is changed."""

    def changes(self, look: Look) -> Changes:
        """Return what it shows now, by the names of `outputs`."""


def look_at_runs(desk: Desk, shelf: MetricsShelf, choice: Choice, request: gr.Request) -> Look:
    """Read the runs as their folders tell them now."""
    rows = run_rows(desk.library, desk.queue)
    row = find_row(rows, choice.own) or first_row(rows, choice.seen.get("name", ""))
    names = {one.name for one in rows}
    panel = RunPanel(desk.library, shelf, row) if row else None
    return Look(
        choice=choice,
        request=request,
        desk=desk,
        shelf=shelf,
        rows=rows,
        row=row,
        beside=[one for one in choice.beside or [] if one in names],
        panel=panel,
        stamp=panel.stamp() if panel else None,
        steps=panel.sample_steps() if panel else [],
    )


def changes_of(parts: Mapping[str, Part], look: Look) -> Changes:
    """Return the changes of all parts whose content has changed, and of `seen`."""
    seen = look.choice.seen
    now = {name: part.depends_on(look) for name, part in parts.items()}
    changes: dict[str, Any] = {}
    for name, part in parts.items():
        if name not in seen or now[name] != seen[name]:
            changes |= part.changes(look)
    now |= {"name": look.name, "steps": list(look.steps)}
    return {**changes, "seen": now} if now != seen else changes
