"""Training an adapter on pictures."""

import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.library.library import Library
from studio.proposals import proposed
from studio.runs.control import Control
from studio.runs.kinds._run_kind import Forecast, RunKind
from trainers.config import PartConfig, RunConfig, parse_config
from trainers.errors import UserError
from trainers.methods import find_method
from trainers.paths import path_of

if TYPE_CHECKING:
    from studio.runs.run import Journal, Run

_RESERVED = ("pocket", "auto", "none")


_PARTS = ("unet", "text_encoder", "text_encoder_2")


def _parts_of_base(base: str) -> list[str]:
    """Return the parts whose folders a base has; all of them where the name leads to no folder here."""
    shipped = Path(str(importlib.resources.files("pipelines"))) / "pocket" / "base"  # pipelines.bases imports torch
    try:
        folder = shipped if base == "pocket" else path_of(base)
        found = [part for part in _PARTS if (folder / part).is_dir()]
    except (OSError, ValueError, UserError):  # half a path that is still being typed
        found = []
    return found or list(_PARTS)


def _parse(values: Mapping[str, Any]) -> RunConfig:
    return parse_config(values)


def prepare_training(config: Any, library: Library, *, folders: tuple[str, ...] = ("base",)) -> Any:
    """Return a training's settings with absolute paths, and adapters that a method builds on as folders."""
    changes = {"data": str(path_of(config.data).resolve())}
    for name in folders:
        place = path_of(getattr(config, name))
        if getattr(config, name) not in _RESERVED and place.is_dir():
            changes[name] = str(place.resolve())
    return config.model_copy(update={**changes, "parts": _with_folders(config.parts, library)})


def _prepare(config: RunConfig, library: Library) -> RunConfig:
    return prepare_training(config, library, folders=("base", "judge"))


def _with_folders(plans: Mapping[str, PartConfig], library: Library) -> dict[str, PartConfig]:
    parts = dict(plans)
    for part, plan in parts.items():
        found = {
            name: [str(library.find(adapter).resolve()) for adapter in plan.settings[name]]
            for name in find_method(plan.method).settings.naming_adapters()
        }
        parts[part] = plan.model_copy(update={"settings": {**plan.settings, **found}})
    return parts


def _forecast(config: RunConfig, library: Library) -> Forecast:
    from studio.runs.kinds.images.preflight import forecast_pictures  # torch and the model libraries

    return forecast_pictures(config, library)


def _work(run: "Run", journal: "Journal", control: Control) -> Path | None:
    from studio.runs.kinds.images.work import work  # torch and the model libraries; not needed to list or queue runs

    return work(run, journal, control)


def _tried_by(config: RunConfig, library: Library) -> str:
    prompt = ", ".join([*library.card(config.name).triggers, "a red boat, sea"])
    words = ["generate", prompt, "--adapter", config.name, "--out", "boat.png"]
    return proposed(words, library, base=config.base, usual_base="pocket")


RUN_KIND = RunKind(
    name="pictures",
    title="Style from pictures",
    settings=RunConfig,
    parse=_parse,
    prepare=_prepare,
    forecast=_forecast,
    work=_work,
    front=("name", "base", "data", "trigger", "steps", "batch_size", "resolution_px", "sample_every"),
    parts=_PARTS,
    parts_of_base=_parts_of_base,
    examples=("styles", "subjects"),
    tried_in="generate",
    tried_by=_tried_by,
    command="train",
)
