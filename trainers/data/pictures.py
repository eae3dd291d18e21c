"""Read a folder of pictures with captions, distrustfully.

Only JPEG, PNG and WebP decoders are offered a file (Pillow has over forty, and most advisories are in the others).
EXIF rotation is applied, transparency is composited on white, 16-bit grey is scaled rather than clipped, and of an
animation the first frame is taken.
"""

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainers.data.captions import picture_paths, read_caption, read_metadata
from trainers.data.plain_text import plain_text
from trainers.errors import UserError, raise_problems

FORMATS = ("PNG", "JPEG", "WEBP")
LIMIT_PIXELS = 64_000_000


@dataclass(frozen=True)
class Picture:
    """One training picture."""

    path: Path
    caption: str
    source: str
    """Where the caption came from: ``.txt``, ``.caption``, ``metadata.jsonl`` or ``prompt``."""


@dataclass(frozen=True)
class PictureFolder:
    """What a folder holds."""

    pictures: tuple[Picture, ...]
    bad: tuple[str, ...]
    """Sentences about pictures that cannot be read and were left out."""

    @property
    def caption_sources(self) -> dict[str, int]:
        """How many captions came from where."""
        return dict(Counter(picture.source for picture in self.pictures))


def read_folder(
    folder: Path, *, prompt: str | None = None, trigger: str | None = None, skip_bad: bool = False
) -> PictureFolder:
    """Find the pictures of a folder and their captions; every picture is decoded once to prove that it can be.

    Args:
        prompt: one caption for all, instead of caption files.
        trigger: a word put before every caption.
        skip_bad: leave out pictures that cannot be read.

    Raises:
        UserError: no folder, no pictures, captions missing, or unreadable pictures; all problems at once.
    """
    if prompt is not None and not prompt.strip():
        raise UserError("The --prompt is empty. Give one caption for all pictures, or put caption files beside them.")
    trigger = (trigger or "").strip()
    paths = picture_paths(folder)
    captions = {} if prompt is not None else read_metadata(folder)
    bad: list[str] = []
    problems: list[str] = []
    pictures: list[Picture] = []
    for path in paths:
        try:
            plain_text(path.name, path.name)
            open_picture(path)
        except UserError as error:
            bad.append(str(error))
            continue
        try:
            caption, source = (prompt, "prompt") if prompt is not None else read_caption(path, captions)
        except UserError as error:
            problems.append(str(error))
            continue
        pictures.append(Picture(path, f"{trigger}, {caption}" if trigger else caption, source))
    if bad and not skip_bad:
        problems = bad + problems  # where only some of many are shown, the advice must speak of these
    advice = "Repair or remove unreadable pictures, or go on without them with --skip-bad." if bad else ""
    raise_problems(f"The pictures in {folder} cannot be trained on:", problems, advice)
    if not pictures:
        raise_problems(f"None of the {len(paths)} pictures in {folder} can be read:", bad)
    return PictureFolder(tuple(pictures), tuple(bad))


def open_picture(path: Path) -> Image.Image:
    """Decode one picture as upright 8-bit RGB.

    Raises:
        UserError: naming the file and the reason.
    """
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path.name}: the file is empty (0 bytes)")
        with warnings.catch_warnings():  # Pillow warns of big pictures; the limit below refuses them
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opening = Image.open(path, formats=FORMATS)
        with opening as opened:
            if opened.width * opened.height > LIMIT_PIXELS:
                raise UserError(
                    f"{path.name}: {opened.width} x {opened.height} pixels, at most {LIMIT_PIXELS:,} are decoded"
                )
            opened.load()
            return _as_rgb(ImageOps.exif_transpose(opened))
    except UserError:
        raise
    except Exception as error:  # decoders raise nearly anything on hostile bytes
        raise UserError(f"{path.name}: cannot be decoded ({type(error).__name__}: {error})") from error


def picture_pixels(picture: Image.Image, size_px: int) -> Tensor:
    """Scale a picture to cover a square, cut the centre out, and return pixels [3, size, size] in -1 to 1."""
    square = ImageOps.fit(picture, (size_px, size_px), method=Image.Resampling.LANCZOS)
    array = np.asarray(square, dtype=np.float32) / 127.5 - 1.0
    return torch.from_numpy(array).permute(2, 0, 1)


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # convert("RGB") would clip 16 bits to white
        values = np.asarray(picture).astype(np.float64)
        picture = Image.fromarray(np.clip(values / 257.0 + 0.5, 0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(ground, picture)
    return picture.convert("RGB")
