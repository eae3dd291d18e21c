"""Captioners: kinds of models that say what a picture shows, one file each."""

import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.captioners._captioner import Captioner, LoadedCaptioner
from trainers.errors import UserError
from trainers.registry import discover, find

__all__ = [
    "AUTO",
    "Captioner",
    "LoadedCaptioner",
    "captioner_choices",
    "captioners",
    "find_captioner",
    "find_model",
    "load_captioner",
]

AUTO = "auto"
"""Whichever captioner recognises the model's folder."""
_WHAT = "The captioning model"
_WANTED = ("*.json", "*.txt", "*.safetensors")


@functools.cache
def captioners() -> Mapping[str, Captioner]:
    """Return every captioner by name."""
    return discover(sys.modules[__name__], "CAPTIONER")


def captioner_choices() -> dict[str, Captioner | None]:
    """Return what a setting can name: ``auto``, then every captioner."""
    return {AUTO: None, **captioners()}


def find_captioner(name: str) -> Captioner:
    """Return the captioner of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    return find("Captioner", name, captioners(), f"{AUTO!r} tells it by the model's files.")


def find_model(model: str, captioner: str = AUTO) -> tuple[Captioner, Path]:
    """Return what reads a captioning model, and its folder; a hub id is fetched into the hub's cache.

    Args:
        model: a folder, or a hub id such as ``owner/model`` (optionally ``@revision``).
        captioner: a captioner's name, or ``auto``.

    Raises:
        UserError: it does not exist, cannot be fetched, or is of another kind.
    """
    from pipelines.places import fetched, folder_here

    wanted = list(captioners().values()) if captioner == AUTO else [find_captioner(captioner)]
    advice = f"Give {' or '.join(one.example for one in wanted)}."
    if not model.strip():
        raise UserError(f"No captioning model is given, and none ships with the studio. {advice}")
    folder = folder_here(model, _WHAT, advice) or fetched(model, _WANTED, _WHAT, advice)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shown = ", ".join(map(str, config.get("architectures") or []))[:100] or "a model without a name"
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{model!r} holds no model: its config.json cannot be read. {advice}") from error
    found = next((one for one in wanted if one.recognise(config)), None)
    if found is None:
        expected = " or ".join(one.title for one in wanted)
        raise UserError(f"{model!r} is {shown}; a {expected} is expected. {advice}")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{model!r} has no .safetensors file; pickled weights are never read. {advice}")
    return found, folder


def load_captioner(model: str, captioner: str = AUTO, *, device: str = "auto") -> LoadedCaptioner:
    """Load a captioning model.

    Args:
        model: as of `find_model`.
        captioner: a captioner's name, or ``auto``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: as `find_model`, or it cannot be loaded.
    """
    found, folder = find_model(model, captioner)
    return found.load(model, folder, device)
