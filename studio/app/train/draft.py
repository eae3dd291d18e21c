"""The settings of the form: those that it was placed with, and those that stand in it now."""

import itertools
from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio.app.shared.desk import Desk
from studio.app.shared.memory import browser_memory
from studio.app.shared.named_inputs import QUIET, Changes, named
from studio.resources import example_datasets
from studio.runs.kinds import run_kinds


class Draft:
    """What is placed, in `shown` with a number that grows, and what stands in the form, which the browser keeps."""

    def __init__(self, desk: Desk) -> None:
        """Make the states, and take what other tabs send."""
        self.kept = browser_memory(None, "studio-train")
        self.shown = gr.State({"settings": first_settings(), "number": 0})
        self.outputs: Mapping[str, Any] = {"shown": self.shown, "kept": self.kept}
        self._numbers = itertools.count(1)
        inbox = desk.inbox("train")
        inbox.change(**named(self._receive, {"sent": inbox}, self.outputs), **QUIET)

    def number(self) -> int:
        """Return a number that was not used before."""
        return next(self._numbers)

    def placed(self, settings: Mapping[str, Any]) -> Changes:
        """Return changes of `outputs` that place the form anew with some settings."""
        return {"shown": {"settings": dict(settings), "number": self.number()}, "kept": settings}

    def _receive(self, sent: Mapping[str, Any] | None) -> Changes:
        return self.placed(sent["config"]) if sent else {}


def first_settings(kind: str | None = None) -> dict[str, Any]:
    """Return the settings that a form begins with: example data, so that the first run is one click away."""
    chosen = run_kinds()[kind] if kind else next(iter(run_kinds().values()))
    first = next(iter(example_datasets(chosen.examples).values()), None)
    data = {"data": str(first), "name": f"my-{first.name}".replace("_", "-")} if first is not None else {}
    return {"kind": chosen.name, **data}


def known(kept: Any) -> Mapping[str, Any]:
    """Return the settings that a browser kept, or the first ones where it kept none that can be shown."""
    usable = isinstance(kept, dict) and kept.get("kind") in run_kinds()
    return kept if usable and isinstance(kept.get("parts", {}), dict) else first_settings()
