"""Ready-made settings for the form, one YAML file each in this folder.

A file holds `title` and `description` in English, `order`, `kind` and `settings`, which are the fields
of that kind of run that differ from its defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KEPT = ("base", "data", "name", "trigger", "prompt", "sample_prompts", "device", "precision")
"""What a preset leaves as it is in the form: what the run is about, and where it runs."""


@dataclass(frozen=True)
class Preset:
    """One preset."""

    name: str
    kind: str
    order: int
    title: str
    description: str
    settings: Mapping[str, Any]

    @property
    def texts(self) -> Mapping[str, str]:
        """Return what it says of itself, as the locales call it."""
        return {"title": self.title, "description": self.description}


def presets(folder: Path = Path(__file__).parent) -> list[Preset]:
    """Return all presets of a folder in their order.

    Raises:
        KeyError: a file lacks an entry.
    """
    found = []
    for path in sorted(folder.glob("*.yaml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        found.append(
            Preset(
                name=path.stem,
                kind=values["kind"],
                order=int(values["order"]),
                title=values["title"],
                description=values["description"],
                settings=values["settings"],
            )
        )
    return sorted(found, key=lambda preset: (preset.order, preset.name))


def applied(preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a form's settings with a preset in place of everything that it does not keep."""
    kept = {name: settings[name] for name in KEPT if name in settings}
    return {**kept, **preset.settings, "kind": preset.kind}
