"""Cross-validation inside one run: a training for every fold, each with a folder that survives a kill like a run's."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.families import TextBase
from studio.runs.control import Control
from studio.runs.run import CONFIG_NAME, Journal, Run
from studio.runs.training import Evaluation, go_on, run_steps
from trainers.config_files import config_as_yaml
from trainers.loop import ADAPTER, begin
from trainers.stages import Fold, make_task
from trainers.storage import write_json, write_text
from trainers.tuners import peft_bridge as bridge
from trainers.wording import count_of

RESULT_NAME = "folds.json"
_MEASURES = "measures"


@dataclass(frozen=True)
class _FoldRun(Run):
    """A fold's folder inside its run's; to a user it is the run."""

    parent: str = ""

    @property
    def name(self) -> str:
        return self.parent


def run_folds(
    run: Run, journal: Journal, control: Control, base: TextBase, folds: Sequence[Fold]
) -> Mapping[str, float] | None:
    """Train and measure every fold that is not done; return mean and deviation of each measure, None when stopped.

    The base is bare before and after.
    """
    found: list[Mapping[str, float]] = []
    for number, fold in enumerate(folds, 1):
        own = _FoldRun(run.folder / "folds" / f"{number:02d}", run.library, run.name)
        state = own.state()
        if _MEASURES not in state:
            journal.say(
                f"Fold {number} of {len(folds)}: {count_of(len(fold.training), 'text')} to learn from, "
                f"{len(fold.held_out)} to measure on."
            )
            measured = _run_fold(own, journal, control, base, fold)
            if measured is None:
                return None
            own.update(**{_MEASURES: measured})
            state = own.state()
        found.append(state[_MEASURES])
        journal.say(f"Fold {number} of {len(folds)}: {_told(state[_MEASURES])}")
    summary = summary_of(found)
    write_json(run.folder / RESULT_NAME, {"folds": found, **summary})
    shown = ", ".join(
        f"{name.removeprefix('validation_')} {summary[f'{name}_mean']:.4f} ± {summary[f'{name}_deviation']:.4f}"
        for name in found[0]
    )
    journal.say(f"{len(folds)} folds: {shown} (mean ± standard deviation)")
    return summary


def summary_of(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return mean and sample standard deviation of every measure over at least two folds."""
    summary: dict[str, float] = {}
    for name in found[0]:
        values = [one[name] for one in found]
        summary |= {f"{name}_mean": statistics.fmean(values), f"{name}_deviation": statistics.stdev(values)}
    return summary


def _run_fold(
    own: _FoldRun, journal: Journal, control: Control, base: TextBase, fold: Fold
) -> Mapping[str, float] | None:
    if not (own.folder / CONFIG_NAME).exists():
        write_text(own.folder / CONFIG_NAME, config_as_yaml(fold.config))
    task = make_task(fold.config, base, fold.training)
    training = begin(fold.config, task, control.processes)
    try:
        inner = _FoldJournal(own, journal.report, outer=journal.say)
        go_on(own, inner, training)
        if not run_steps(own, inner, training, control, Evaluation(dict)):
            return None
        return dict(task.validate(fold.held_out))
    finally:
        for part in fold.config.parts:
            bridge.detach(base.parts[part], ADAPTER)


@dataclass
class _FoldJournal(Journal):
    """Keeps a fold's metrics in its own folder, and says what there is to say in the run's log."""

    outer: Callable[[str], Any] = print

    def say(self, text: str) -> None:
        self.outer(text)


def _told(measures: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in measures.items())
