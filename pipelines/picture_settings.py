"""Settings read back from any PNG, ours or AUTOMATIC1111's, distrustfully: a file may say anything. Without torch."""

import json
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pipelines.picture_file import OWN_KEY
from trainers.data.plain_text import not_plain_in, shown
from trainers.errors import UserError

_LIMIT_TEXT = 20_000
_EXACT_IN_A_BROWSER = 2**53
_RANGES: Mapping[str, tuple[type, float, float]] = {
    "seed": (int, 0, _EXACT_IN_A_BROWSER),
    "steps": (int, 1, 1000),
    "guidance": (float, 0, 100),
    "width_px": (int, 8, 4096),
    "height_px": (int, 8, 4096),
}
_WEBUI = {"Seed": "seed", "Steps": "steps", "CFG scale": "guidance", "Model": "base"}
_TAG = re.compile(r"\s*<lora:([^:<>]+):([^<>:]+)(?::[^<>]*)?>")
_FACT = re.compile(r'\s*([A-Z][\w ]*):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')


@dataclass(frozen=True)
class PictureSettings:
    """What a form can take from a picture."""

    values: Mapping[str, Any]
    """Those that are there of prompt, negative_prompt, seed, steps, guidance, width_px, height_px, base (a name), and
    adapters (name -> weight)."""
    unused: tuple[str, ...] = ()
    """What else it says, or says wrongly, a few words each."""


def read_picture_settings(path: Path) -> PictureSettings:
    """Read the settings of a PNG that somebody brought.

    Raises:
        UserError: it is no PNG, too big, or carries no settings.
    """
    from trainers.data.pictures import LIMIT_PIXELS  # loads torch, as whoever opens strangers' pictures has

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below refuses those
            opening = Image.open(path, formats=("PNG",))
        with opening as picture:
            if picture.width * picture.height > LIMIT_PIXELS:
                raise UserError(
                    f"The picture has {picture.width} x {picture.height} pixels, at most {LIMIT_PIXELS:,} are read."
                )
            texts = dict(getattr(picture, "text", {}))
    except UserError:
        raise
    except Exception as error:  # decoders raise nearly anything on hostile bytes
        raise UserError(f"The file cannot be read as a PNG ({type(error).__name__}). Give a PNG picture.") from error
    return settings_from_texts(texts)


def settings_from_texts(texts: Mapping[str, str]) -> PictureSettings:
    """Return the settings in a PNG's texts; our own are preferred.

    Raises:
        UserError: there are none.
    """
    if OWN_KEY in texts:
        try:
            found = json.loads(texts[OWN_KEY])
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return checked_settings(found)
    if "parameters" in texts:
        return parse_webui_parameters(texts["parameters"])
    raise UserError(
        "The PNG carries no settings: neither this studio's nor a 'parameters' text. Many sites remove them; take the "
        "file as it was drawn."
    )


def checked_settings(found: Mapping[str, Any]) -> PictureSettings:
    """Return our own settings with only what has the right kind and range."""
    values: dict[str, Any] = {}
    unused: list[str] = []
    for key, value in found.items():
        if problem := not_plain_in({key: value}):
            unused.append(f"{shown(key)[:60]}: not plain text ({problem})")
        elif key in ("prompt", "negative_prompt") and isinstance(value, str) and len(value) <= _LIMIT_TEXT:
            values[key] = value
        elif key in _RANGES and (number := _number(key, value)) is not None:
            values[key] = number
        elif key == "adapters" and isinstance(value, Mapping):
            values["adapters"], wrong = _weights(value)
            unused += wrong
        elif key == "base" and isinstance(value, Mapping) and isinstance(value.get("name"), str):
            values["base"] = value["name"]
        elif key == "recipe":
            unused.append("recipe: adapters combined by a recipe belong to Blend")
        elif key == "expansion" and isinstance(value, Mapping):
            unused.append(f"the wish that the prompt was expanded from: {str(value.get('wish'))[:60]}")
        else:
            unused.append(f"{key[:60]}: {str(value)[:60]}")
    return PictureSettings(values, tuple(unused))


def parse_webui_parameters(text: str) -> PictureSettings:
    """Return the settings of a ``parameters`` text: prompt with ``<lora:NAME:WEIGHT>``, negative prompt, facts."""
    lines = text[:_LIMIT_TEXT].strip().splitlines()
    facts: dict[str, str] = {}
    if lines and re.match(r"\s*Steps: \d", lines[-1]):
        facts = {key.strip(): value.strip().strip('"') for key, value in _FACT.findall(lines.pop())}
    split = next((n for n, line in enumerate(lines) if line.startswith("Negative prompt:")), len(lines))
    prompt, negative = "\n".join(lines[:split]), "\n".join(lines[split:]).removeprefix("Negative prompt:").strip()
    adapters, wrong = _weights(dict(_TAG.findall(prompt)))
    found: dict[str, Any] = {"prompt": _TAG.sub("", prompt).strip(), "negative_prompt": negative}
    found |= {"adapters": adapters} if adapters else {}
    unused = list(wrong)
    for name, value in facts.items():
        size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value) if name == "Size" else None
        if size:
            found |= {"width_px": int(size[1]), "height_px": int(size[2])}
        elif name == "Model":
            found["base"] = {"name": value}
        elif name in _WEBUI:
            found[_WEBUI[name]] = value
        else:
            unused.append(f"{name}: {value[:60]}")
    checked = checked_settings(found)
    return PictureSettings(checked.values, (*checked.unused, *unused))


def _number(key: str, value: Any) -> float | int | None:
    kind, low, high = _RANGES[key]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        return None
    return number if low <= number <= high else None


def _weights(found: Mapping[Any, Any]) -> tuple[dict[str, float], list[str]]:
    weights: dict[str, float] = {}
    wrong: list[str] = []
    for name, value in found.items():
        try:
            weight = float(value)
        except (TypeError, ValueError):
            weight = math.nan
        if isinstance(name, str) and abs(weight) <= 100:
            weights[name[:100]] = weight
        else:
            wrong.append(f"adapter {str(name)[:60]}: weight {str(value)[:30]}")
    return weights, wrong
