"""What the page shows of one run, computed from its folder; the tab only places it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from studio.app.runs.chart import loss_lines, measure_lines, rate_lines
from studio.app.runs.line_chart import Line
from studio.app.shared.run_report import problems_html
from studio.library.datasets import free_run_name
from studio.library.library import Library
from studio.runs.kinds import run_kinds
from studio.runs.metrics import MetricsShelf
from studio.runs.run import Run
from studio.runs.step_cost import duration
from studio.runs.watch import (
    RunRow,
    log_tail,
    prompt_of,
    sample_pictures,
    sample_steps,
    sample_texts,
    seconds_left,
    settings_of,
    stamp_of,
)
from trainers.errors import UserError

MOST_STEPS = 24
"""Rows of the picture of all samples."""


@dataclass(frozen=True)
class RunPanel:
    """One run, with what is measured of it and of those laid over it."""

    library: Library
    shelf: MetricsShelf
    row: RunRow

    @property
    def run(self) -> Run:
        """The run."""
        return Run(self.library.run_folder(self.row.name), self.library)

    def stamp(self) -> tuple[Any, ...]:
        """Return what changes with what there is to show."""
        return (self.row, *stamp_of(self.run))

    def head(self, state: str, left: Callable[[str], str]) -> str:
        """Return the line over everything, as HTML: state, a bar, steps, time left, and a failed run's sentence.

        Args:
            state: the state in the user's language.
            left: (time left) -> what is said of it.
        """
        row = self.row
        seconds = seconds_left(row, self.shelf.of(self.run.folder)) if row.works else None
        note = f" · {left(duration(seconds))}" if seconds is not None else ""
        steps = f"{row.step:,} / {row.total:,}" if row.total else ""
        bar = f'<progress value="{row.step}" max="{max(1, row.total)}" aria-label="{escape(row.name)}"></progress>'
        line = f'<p role="status"><strong>{escape(row.name)}</strong> · {escape(state)} {bar} {steps}{escape(note)}</p>'
        return line + problems_html(row.problem)

    def log(self) -> str:
        """Return the end of the log."""
        return log_tail(self.run)

    def loss(self, beside: Sequence[str], smoothing: float, names: Sequence[str]) -> list[Line]:
        """Return the lines of the losses of this run and others; `names`: raw, smoothed and validation."""
        return loss_lines(self._metrics(beside), smoothing, *names)

    def rates(self, beside: Sequence[str]) -> list[Line]:
        """Return the lines of the learning rates."""
        return rate_lines(self._metrics(beside))

    def measures(self, beside: Sequence[str]) -> list[Line]:
        """Return the lines of whatever else is measured."""
        return measure_lines(self._metrics(beside))

    def sample_steps(self) -> list[int]:
        """Return the steps that there are samples of."""
        return sample_steps(self.run)

    def gallery(self, step: int, caption: Callable[[int, str], str]) -> list[tuple[str, str]]:
        """Return the pictures of a step, or of all steps (-1, thinned out evenly), with captions.

        Args:
            caption: (step, prompt) -> what stands under the picture.
        """
        steps = [step] if step >= 0 else evenly(self.sample_steps(), MOST_STEPS)
        return [(str(path), caption(own, prompt_of(path))) for own in steps for path in sample_pictures(self.run, own)]

    def texts(self, step: int) -> list[tuple[str, str, str]]:
        """Return step, prompt and answer of the samples of a step, or prompt by prompt of all steps (-1)."""
        steps = [step] if step >= 0 else evenly(self.sample_steps(), MOST_STEPS)
        found = [(str(own), *pair) for own in steps for pair in sample_texts(self.run, own)]
        places = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompt for _, prompt, _ in found))}
        return sorted(found, key=lambda row: places[row[1]])

    def settings(self) -> dict[str, Any]:
        """Return the settings for another run like this one, under a free name.

        Raises:
            UserError: they cannot be read.
        """
        return {**settings_of(self.run), "name": free_run_name(self.library, self.row.name)}

    def tried_in(self) -> str:
        """Return the tab in which the result is tried; empty where there is none."""
        kind = run_kinds().get(self.row.kind)
        return kind.tried_in if kind is not None else ""

    def for_trial(self) -> dict[str, Any]:
        """Return what the tab in which the result is tried needs for it.

        Raises:
            UserError: there is no result yet, or the settings cannot be read.
        """
        name = self.row.name
        if name not in self.library.names():
            raise UserError(f"The run {name!r} has left no adapter yet; it is {self.row.status}. Let it finish first.")
        settings, steps = settings_of(self.run), self.sample_steps()
        prompts = [prompt_of(path) for path in sample_pictures(self.run, steps[-1])] if steps else []
        prompts += [prompt for prompt, _ in sample_texts(self.run, steps[-1])] if steps else []
        first = {"prompt": prompts[0]} if prompts and prompts[0] else {}
        return {**first, "adapters": [[name, 1.0]], "base": settings.get("base", "pocket")}

    def _metrics(self, beside: Sequence[str]) -> Mapping[str, Any]:
        names = dict.fromkeys([self.row.name, *beside])
        return {name: self.shelf.of(self.library.run_folder(name)) for name in names}


def evenly(items: Sequence[int], most: int) -> list[int]:
    """Return at most so many items, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[math.floor(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def nearest(steps: Sequence[int], wanted: float) -> int:
    """Return the step with samples that is nearest to a place on the slider; 0 without any."""
    return min(steps, key=lambda step: abs(step - wanted), default=0) if wanted < math.inf else max(steps, default=0)
