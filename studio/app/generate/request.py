"""What the form of Generate asks for and what comes of it, without any component."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.image_file import read_settings
from pipelines.samplers import AUTO
from studio.library.library import Library
from trainers.errors import UserError, raise_problems
from trainers.seeds import drawn_seed

_LIMIT_COUNT = 64
_HISTORY = 60
NOTE = "Note:"
"""How sentences of the inference process begin that are about the result, not about what it is doing."""


@dataclass(frozen=True)
class Wanted:
    """The form's values, as they are."""

    prompt: str
    negative_prompt: str
    seed: float | None
    random_seed: bool
    count: float | None
    num_inference_steps: float | None
    guidance_scale: float | None
    sampler: str
    width_px: float | None
    height_px: float | None
    base: str
    beside_base: bool
    merge: bool
    adapters: Sequence[tuple[str | None, float | None]]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the job ``generate``; a random seed is drawn here.

        Raises:
            UserError: naming every value that is missing or cannot be used.
        """
        problems = [
            f"{name} is empty; a number is expected"
            for name, value in (
                ("the count", self.count),
                ("the steps", self.num_inference_steps),
                ("the guidance", self.guidance_scale),
            )
            if value is None
        ]
        if self.seed is None and not self.random_seed:
            problems.append("the seed is empty; give a number, or tick the random seed")
        if self.count is not None and not 1 <= self.count <= _LIMIT_COUNT:
            problems.append(f"the count {self.count:g} is out of range; 1 to {_LIMIT_COUNT} is possible")
        weights, wrong = chosen_weights(self.adapters)
        raise_problems("The picture cannot be drawn:", [*problems, *wrong])
        assert self.count is not None
        assert self.num_inference_steps is not None
        assert self.guidance_scale is not None
        return {
            "prompt": self.prompt or "",
            "negative_prompt": self.negative_prompt or "",
            "seed": secrets.randbelow(2**32) if self.random_seed else drawn_seed(int(self.seed or 0)),
            "count": int(self.count),
            "num_inference_steps": int(self.num_inference_steps),
            "guidance_scale": float(self.guidance_scale),
            "sampler": self.sampler or AUTO,
            "width_px": int(self.width_px) if self.width_px else None,
            "height_px": int(self.height_px) if self.height_px else None,
            "base": (self.base or "").strip() or "pocket",
            "beside_base": bool(self.beside_base),
            "merge": bool(self.merge),
            "weights": weights,
        }


def chosen_weights(rows: Sequence[tuple[str | None, float | None]]) -> tuple[dict[str, float], list[str]]:
    """Return adapter -> weight of the rows that name one, and what is wrong with the others."""
    weights: dict[str, float] = {}
    problems: list[str] = []
    for given, weight in rows:
        name = (given or "").strip()
        if not name:
            continue
        if name in weights:
            problems.append(f"the adapter {name!r} is chosen twice; choose it once, with the sum of the weights")
        elif weight is None or not math.isfinite(weight):
            problems.append(f"the adapter {name!r} has no weight; give a number, such as 1")
        else:
            weights[name] = float(weight)
    return weights, problems


@dataclass
class Drawn:
    """What one drawing has brought so far."""

    pictures: list[tuple[str, int, bool]] = field(default_factory=list)
    """Path, seed, and whether it is the base's; by seed, and of a seed the base's first, as the slider has it left."""
    notes: list[str] = field(default_factory=list)

    def take(self, event: Mapping[str, Any]) -> None:
        """Add an event of the job."""
        if event["event"] == "picture":
            self.pictures.append((event["path"], event["seed"], event["plain"]))
            self.pictures.sort(key=lambda picture: (picture[1], not picture[2]))
        elif event["event"] == "said" and event["text"].startswith(NOTE) and event["text"] not in self.notes:
            self.notes.append(event["text"].removeprefix(NOTE).strip())

    def paths(self) -> list[str]:
        """Return the files, in the order in which they came."""
        return [path for path, _, _ in self.pictures]

    def pair(self, number: int) -> tuple[str, str] | None:
        """Return the base's picture and the adapters' of the same seed as picture `number`, if both are there."""
        if number >= len(self.pictures):
            return None
        seed = self.pictures[number][1]
        plain = [path for path, other, bare in self.pictures if other == seed and bare]
        changed = [path for path, other, bare in self.pictures if other == seed and not bare]
        return (plain[0], changed[0]) if plain and changed else None


def triggers(library: Library, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the trigger words of adapters; those that cannot be read have none here, and fail when they are used."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        try:
            found[name] = library.card(name.partition("@")[0]).triggers
        except UserError:
            found[name] = ()
    return found


def lacking_triggers(library: Library, weights: Mapping[str, float], prompt: str) -> dict[str, list[str]]:
    """Return the trigger words that a prompt lacks, by adapter."""
    words = triggers(library, [name for name, weight in weights.items() if weight])
    lacking = {name: [word for word in own if word.lower() not in prompt.lower()] for name, own in words.items()}
    return {name: found for name, found in lacking.items() if found}


def with_triggers(prompt: str, words: Sequence[str]) -> str:
    """Return a prompt that begins with the trigger words which it lacks, as captions do in training."""
    lacking = [word for word in dict.fromkeys(words) if word.lower() not in prompt.lower()]
    return ", ".join([*lacking, prompt] if prompt.strip() else lacking)


def images_of_today(library: Library) -> list[str]:
    """Return today's pictures (UTC, as their folder), the newest first, at most 60."""
    day = library.folder / "outputs" / "pictures" / datetime.now(UTC).strftime("%Y-%m-%d")
    files = [path for path in day.glob("*.png") if path.stat().st_size]  # empty: a number that is being drawn for
    return [str(path) for path in sorted(files, reverse=True)[:_HISTORY]]


def settings_of(library: Library, path: str) -> dict[str, Any]:
    """Return the settings in one of the studio's own pictures.

    Raises:
        UserError: it is gone, or carries none.
    """
    file = Path(path)
    if not file.resolve().is_relative_to((library.folder / "outputs").resolve()):
        raise UserError(f"{file.name} is not one of the studio's pictures.")
    try:
        found = read_settings(file)
    except (OSError, ValueError) as error:
        raise UserError(f"The picture {file.name} cannot be read; it may have been removed.") from error
    if found is None:
        raise UserError(f"The picture {file.name} carries no settings.")
    return found


def settings_lines(settings: Mapping[str, Any]) -> str:
    """Return a picture's settings for reading, a line each."""
    lines = []
    for key, value in settings.items():
        if key == "adapters":
            value = ", ".join(f"{name}: {weight:g}" for name, weight in value.items())
        elif key == "base":
            value = f"{value.get('name')} ({value.get('fingerprint', '')[:8]}, {value.get('sampler', '')})"
        if value not in ("", None):
            lines.append(f"{key.removesuffix('_px').replace('_', ' ')}: {value}")
    return "\n".join(lines)
