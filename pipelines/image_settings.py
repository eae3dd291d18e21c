"""Settings read back from any picture, ours or AUTOMATIC1111's, distrustfully: a file may say anything. Without torch.

PNG files hold texts by name, JPEG and WebP one text in EXIF's ``UserComment``.
"""

import json
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pipelines.image_file import OWN_KEY
from pipelines.samplers import sampler_names
from pipelines.webui_text import read_webui_text
from trainers.data.plain_text import not_plain_in, shown
from trainers.errors import UserError
from trainers.old_names import SAMPLING, with_new_names

_LIMIT_TEXT = 20_000
_EXACT_IN_A_BROWSER = 2**53
_RANGES: Mapping[str, tuple[type, float, float]] = {
    "seed": (int, 0, _EXACT_IN_A_BROWSER),
    "num_inference_steps": (int, 1, 1000),
    "guidance_scale": (float, 0, 100),
    "width_px": (int, 8, 4096),
    "height_px": (int, 8, 4096),
}
_WEBUI = {"Seed": "seed", "Steps": "num_inference_steps", "CFG scale": "guidance_scale"}
_TAG = re.compile(r"\s*<(lora|lyco|hypernet):([^:<>]+)((?::[^<>:]*)*)>")
_FORMATS = ("PNG", "JPEG", "WEBP")
_EXIF, _USER_COMMENT = 0x8769, 0x9286
_CODE_BYTES = 8
"""EXIF's UserComment begins with the name of its encoding."""
_OTHERS = {
    "workflow": "ComfyUI's workflow",
    "prompt": "ComfyUI's workflow",
    "invokeai_metadata": "InvokeAI's settings",
    "sd-metadata": "InvokeAI's settings",
    "Comment": "NovelAI's settings",
}
"""Names of JSON texts that other programs write and that are not read."""


@dataclass(frozen=True)
class ImageSettings:
    """What a form can take from a picture."""

    values: Mapping[str, Any]
    """Those that are there of prompt, negative_prompt, seed, num_inference_steps,
    guidance_scale, sampler, width_px, height_px, base (a
    name), and adapters (name -> weight)."""
    unused: tuple[str, ...] = ()
    """What else it says, or says wrongly, a few words each."""


def read_image_settings(path: Path) -> ImageSettings:
    """Read the settings of a PNG, JPEG or WebP file that somebody brought.

    Raises:
        UserError: it is no such picture, too big, or carries no settings.
    """
    from trainers.data.images import LIMIT_PIXELS  # loads torch, as whoever opens strangers' pictures has

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of big pictures, which the limit below refuses, and of broken EXIF
            with Image.open(path, formats=_FORMATS) as picture:
                if picture.width * picture.height > LIMIT_PIXELS:
                    raise UserError(
                        f"The picture has {picture.width} x {picture.height} pixels, at most {LIMIT_PIXELS:,} are read."
                    )
                texts = dict(getattr(picture, "text", {}))
                exif = picture.getexif()
                comment = _user_comment(exif.get_ifd(_EXIF).get(_USER_COMMENT) or exif.get(_USER_COMMENT))
    except UserError:
        raise
    except Exception as error:  # decoders raise nearly anything on hostile bytes
        raise UserError(
            f"The file cannot be read as a picture ({type(error).__name__}). Give a PNG, JPEG or WebP file."
        ) from error
    return settings_from_texts({"parameters": comment, **texts} if comment else texts)


def settings_from_texts(texts: Mapping[str, str]) -> ImageSettings:
    """Return the settings in a picture's texts by name; our own are preferred.

    Raises:
        UserError: there are none, or another program's, which is named.
    """
    if OWN_KEY in texts:
        found = _json_object(texts[OWN_KEY])
        if found is not None:
            return checked_settings(found)
    parameters = str(texts.get("parameters", ""))
    as_json = _json_object(parameters)
    if parameters.strip() and as_json is None:
        return parse_webui_parameters(parameters)
    named = [name for key, name in _OTHERS.items() if _json_object(str(texts.get(key, ""))) is not None]
    if as_json is not None:
        named = ["SwarmUI's settings" if "sui_image_params" in as_json else "another program's settings as JSON"]
    if named:
        raise UserError(
            f"The picture carries {' and '.join(dict.fromkeys(named))}, which this studio does not read. It reads its "
            "own settings, and a 'parameters' text as AUTOMATIC1111 and Forge write it; take the prompt over by hand."
        )
    raise UserError(
        "The picture carries no settings: neither this studio's nor a 'parameters' text. Many sites remove them; take "
        "the file as it was drawn."
    )


def checked_settings(found: Mapping[str, Any]) -> ImageSettings:
    """Return our own settings with only what has the right kind and range."""
    found = with_new_names(found, SAMPLING)[0]
    values: dict[str, Any] = {}
    unused: list[str] = []
    for key, value in found.items():
        if problem := not_plain_in({key: value}):
            unused.append(f"{shown(key)[:60]}: not plain text ({problem})")
        elif key in ("prompt", "negative_prompt") and isinstance(value, str) and len(value) <= _LIMIT_TEXT:
            values[key] = value
        elif key in _RANGES and (number := _number(key, value)) is not None:
            values[key] = number
        elif key == "sampler" and value in sampler_names():
            values[key] = value
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
    return ImageSettings(values, tuple(map(shown, unused)))


def parse_webui_parameters(text: str) -> ImageSettings:
    """Return the settings of a ``parameters`` text: prompt with ``<lora:NAME:WEIGHT>``, negative prompt, facts."""
    read = read_webui_text(text)
    unused: list[str] = []
    adapters = _tagged_adapters(read.prompt, unused)
    found: dict[str, Any] = {"prompt": _TAG.sub("", read.prompt).strip(), "negative_prompt": read.negative_prompt}
    found |= {"adapters": adapters} if adapters else {}
    for name, value in read.facts.items():
        size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value) if name == "Size" else None
        if size:
            found |= {"width_px": int(size[1]), "height_px": int(size[2])}
        elif name == "Model":
            found["base"] = {"name": value}
        elif name in _WEBUI:
            found[_WEBUI[name]] = value
        else:
            unused.append(f"{name}: {value[:60]}")
    unused += [line[:80] for line in read.further]
    checked = checked_settings(found)
    return ImageSettings(checked.values, (*checked.unused, *map(shown, unused)))


def _tagged_adapters(prompt: str, unused: list[str]) -> dict[str, float]:
    """Return the adapters that tags of a prompt name; what they say besides goes to `unused`."""
    given: dict[str, str] = {}
    for kind, name, rest in _TAG.findall(prompt):
        weight, *more = rest[1:].split(":") if rest else ["1"]
        if kind == "hypernet":
            unused.append(f"hypernetwork {name[:60]}")
            continue
        if name in given:
            unused.append(f"adapter {name[:60]}: named twice, weight {given[name][:30]}")
        if more:
            unused.append(f"adapter {name[:60]}: {':'.join(more)[:60]} behind its weight")
        given[name] = weight
    adapters, wrong = _weights(given)
    unused += wrong
    return adapters


def _user_comment(value: Any) -> str:
    """Return the text of EXIF's UserComment: eight letters that name the encoding, and the text in it."""
    if not isinstance(value, bytes) or not value:
        return value if isinstance(value, str) else ""
    code, rest = value[:_CODE_BYTES], value[_CODE_BYTES:]
    if code.startswith(b"UNICODE"):
        if rest[:2] in (b"\xff\xfe", b"\xfe\xff"):
            encoding = "utf-16"
        elif 0 not in rest:  # some write UTF-8 behind the name of UTF-16, whose commas would hold a zero
            encoding = "utf-8"
        else:  # the byte order is EXIF's own by the standard, and big by most programs: letters have a zero on one side
            encoding = "utf-16-be" if rest[0::2].count(0) >= rest[1::2].count(0) else "utf-16-le"
        return rest.decode(encoding, "replace").strip("\0 ")
    known = code.startswith(b"ASCII") or not code.strip(b"\0 ")
    return (rest if known else value).decode("utf-8", "replace").strip("\0 ")


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


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
