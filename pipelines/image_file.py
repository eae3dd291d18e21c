"""PNG files that carry their settings: AUTOMATIC1111's ``parameters`` text for other tools, and our own JSON."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipelines.samplers import AUTO, samplers
from pipelines.webui_text import quoted_fact
from trainers.data.plain_text import plain_values
from trainers.old_names import SAMPLING, with_new_names
from trainers.storage import write_bytes

if TYPE_CHECKING:
    from pipelines.generate import ImageRequest  # loads torch; the page reads pictures' settings without it

OWN_KEY = "adapter-studio"


def png_bytes(picture: Image.Image, texts: Mapping[str, str] | None = None) -> bytes:
    """Return a picture as PNG with text chunks."""
    information = PngInfo()
    for key, text in (texts or {}).items():
        information.add_itxt(key, text)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=information)
    return buffer.getvalue()


def write_image(path: Path, picture: Image.Image, request: "ImageRequest", base: Mapping[str, Any]) -> None:
    """Write one generated picture with its settings.

    Args:
        base: facts of the base: ``name``, ``family``, ``fingerprint`` and ``sampler``.
    """
    own = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "width_px": picture.width,
        "height_px": picture.height,
        "adapters": dict(request.weights),
        "base": dict(base),
    }
    if request.sampler != AUTO:
        own["sampler"] = request.sampler
    if request.recipe is not None:
        own["recipe"] = request.recipe.model_dump(mode="json", exclude_defaults=True)
    if request.expansion is not None:
        own["expansion"] = dict(request.expansion)
    texts = {
        "parameters": webui_parameters(picture, request, base),
        OWN_KEY: json.dumps(own, ensure_ascii=False),
    }
    write_bytes(path, png_bytes(picture, texts))


def read_settings(path: Path) -> dict[str, Any] | None:
    """Return our own settings from a PNG, or None when it carries none."""
    with Image.open(path, formats=("PNG",)) as picture:
        text = getattr(picture, "text", {}).get(OWN_KEY)
    if not text:
        return None
    return with_new_names(plain_values(json.loads(text), f"The settings in {path.name}"), SAMPLING)[0]


def webui_parameters(picture: Image.Image, request: "ImageRequest", base: Mapping[str, Any]) -> str:
    """Return the ``parameters`` text that AUTOMATIC1111 and its relatives read."""
    tags = "".join(f" <lora:{name}:{weight:g}>" for name, weight in request.weights.items() if weight)
    lines = [request.prompt + tags]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    facts = {
        "Steps": request.num_inference_steps,
        "Sampler": quoted_fact(base["sampler"] if request.sampler == AUTO else samplers()[request.sampler].title),
        "CFG scale": f"{request.guidance_scale:g}",
        "Seed": request.seed,
        "Size": f"{picture.width}x{picture.height}",
        "Model hash": str(base["fingerprint"])[:10],
        "Model": quoted_fact(base["name"]),
    }
    lines.append(", ".join(f"{key}: {value}" for key, value in facts.items()))
    return "\n".join(lines)
