"""Training an adapter on pictures."""

import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.families import family_of, known_parts
from studio.library.library import Library
from studio.proposals import proposed
from studio.runs.control import Control
from studio.runs.kinds._run_kind import Preflight, RunKind
from trainers.config import RunConfig, parse_config
from trainers.errors import UserError
from trainers.methods import find_method
from trainers.part_config import PartConfig
from trainers.parts import DENOISER, TEXT_ENCODER
from trainers.paths import path_of

if TYPE_CHECKING:
    from studio.runs.run import Journal, Run

_RESERVED = ("pocket", "auto", "none")


def _parts() -> list[str]:
    return list(known_parts("picture"))


def _folder_of_base(base: str) -> Path | None:
    """Return the folder of a base that is here; None where the name leads to none."""
    shipped = Path(str(importlib.resources.files("pipelines"))) / "pocket" / "base"  # pipelines.bases imports torch
    try:
        folder = shipped if base == "pocket" else path_of(base)
        return folder if folder.is_dir() else None
    except (OSError, ValueError, UserError):  # half a path that is still being typed
        return None


def _parts_of_base(base: str) -> list[str]:
    """Return the parts whose folders a base has; all of them where the name leads to no folder here."""
    folder = _folder_of_base(base)
    found = [part for part in _parts() if (folder / part).is_dir()] if folder is not None else []
    return found or _parts()


def _default_parts(base: str) -> Sequence[str]:
    """Return what the base's family trains when nothing is named; by kind where the base is not here."""
    folder = _folder_of_base(base)
    family = family_of(folder) if folder is not None else None
    return family.default_parts if family is not None else (DENOISER, TEXT_ENCODER)


def _parse(values: Mapping[str, Any]) -> RunConfig:
    config = parse_config(values, known_parts=_parts())
    return config if _folder_of_base(config.base) is None else config.on(_parts_of_base(config.base))


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


def _preflight(config: RunConfig, library: Library) -> Preflight:
    from studio.runs.kinds.images.preflight import preflight_images  # torch and the model libraries

    return preflight_images(config, library)


def _work(run: "Run", journal: "Journal", control: Control) -> Path | None:
    from studio.runs.kinds.images.work import work  # torch and the model libraries; not needed to list or queue runs

    return work(run, journal, control)


def _tried_by(config: RunConfig, library: Library) -> str:
    prompt = ", ".join([*library.card(config.name).triggers, "a red boat, sea"])
    words = ["generate", prompt, "--adapter", config.name, "--out", "boat.png"]
    return proposed(words, library, base=config.base, usual_base="pocket")


RUN_KIND = RunKind(
    name="images",
    title="Style from pictures",
    settings=RunConfig,
    parse=_parse,
    prepare=_prepare,
    preflight=_preflight,
    work=_work,
    front=("name", "base", "data", "trigger", "steps", "batch_size", "resolution_px", "sample_every"),
    list_parts=_parts,
    parts_of_base=_parts_of_base,
    default_parts=_default_parts,
    variants={"loss_weighting_settings": ("loss_weighting", "loss_weightings")},
    examples=("styles", "subjects"),
    tried_in="generate",
    tried_by=_tried_by,
    command="train",
)
