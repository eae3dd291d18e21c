"""What can be chosen, as plain JSON: methods and stages with their settings, blends, formats.

The registries are light, so this is read whenever it is wanted, and loads no model library.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.families import known_parts
from studio.settings_schema import shapes_of

if TYPE_CHECKING:
    from trainers.methods import Method


def catalogue() -> Mapping[str, Any]:
    """Return name of a registry -> its records, in their order."""
    return {
        "methods": _methods(),
        "stages": _stages(),
        "loss_weightings": _loss_weightings(),
        "blends": _blends(),
        "formats": _formats(),
    }


def _methods() -> list[dict[str, Any]]:
    from trainers.methods import methods

    parts = [*known_parts("picture"), *known_parts("text")]
    return [
        {
            "name": method.name,
            "title": method.title,
            "source": method.source,
            "summary": summary_of(method),
            "parts": [part for part in parts if method.fits(part)],
            "recommended": {
                part: {"learning_rate": own.rate_on_pocket(), "settings": _plain(own.settings)}
                for part in parts
                if method.fits(part)
                for own in [method.recommendation(part)]
            },
            "fields": shapes_of(method.settings),
            "mergeable": method.mergeable,
            "needs_studio": method.needs_studio,
            "live_weight": method.live_weight,
            "lacks": dict(method.lacks),
        }
        for method in methods().values()
    ]


def summary_of(method: "Method") -> str:
    """Return what a method does, in a sentence: the one that its file begins with, without the name."""
    first = (sys.modules[method.settings.__module__].__doc__ or "").strip().partition("\n\n")[0]
    _, _, sentence = " ".join(first.split()).partition(": ")
    return sentence[:1].upper() + sentence[1:]


def _stages() -> list[dict[str, Any]]:
    from trainers.stages import stages

    return [
        {"name": stage.name, "title": stage.title, "forms": list(stage.forms), "fields": shapes_of(stage.settings)}
        for stage in stages().values()
    ]


def _loss_weightings() -> list[dict[str, Any]]:
    from trainers.loss_weightings import loss_weightings

    return [
        {"name": found.name, "title": found.title, "source": found.source, "fields": shapes_of(found.settings)}
        for found in loss_weightings().values()
    ]


def _blends() -> list[dict[str, Any]]:
    from pipelines.blends import blends

    return [
        {
            "name": blend.name,
            "title": blend.title,
            "source": blend.source,
            "kind": blend.kind,
            "by_block": blend.by_block,
            "learned": blend.learn is not None,
            "fields": shapes_of(blend.settings),
        }
        for blend in blends().values()
    ]


def _formats() -> list[dict[str, Any]]:
    from pipelines.formats import formats

    return [
        {
            "name": found.name,
            "title": found.title,
            "reads": found.read is not None,
            "writes": found.write is not None,
            "merges": found.merge is not None,
            "is_folder": found.is_folder,
        }
        for found in formats().values()
    ]


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
