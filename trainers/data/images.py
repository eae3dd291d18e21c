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

from trainers.data.captions import read_captions
from trainers.data.listing import list_folder
from trainers.errors import UserError, raise_problems
from trainers.wording import count_of

FORMATS = ("PNG", "JPEG", "WEBP")
LIMIT_PIXELS = 64_000_000


@dataclass(frozen=True)
class Picture:
    """One training picture."""

    path: Path
    caption: str
    source: str
    """Where the caption came from; see `trainers.data.captions.Caption`."""
    name: str
    """Its path from the data folder on, with ``/`` between."""
    repeats: int = 1
    """How often it is seen in a pass over the data."""


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds."""

    pictures: tuple[Picture, ...]
    bad: tuple[str, ...]
    """Sentences about pictures that cannot be read and were left out."""
    notes: tuple[str, ...] = ()
    """Sentences about what is passed over or read otherwise than one might expect."""

    @property
    def caption_sources(self) -> dict[str, int]:
        """How many captions came from where."""
        return dict(Counter(picture.source for picture in self.pictures))

    @property
    def repeated(self) -> dict[tuple[str, int], int]:
        """How many pictures each folder with repeats has, by its name and its repeats; empty without such folders."""
        named = (picture for picture in self.pictures if "/" in picture.name)
        return dict(Counter((picture.name.partition("/")[0], picture.repeats) for picture in named))

    def facts(self) -> dict[str, str]:
        """Return what is told of the data, by label."""
        captions = ", ".join(f"{count} from {source}" for source, count in self.caption_sources.items())
        facts = {"pictures": str(len(self.pictures)), "captions": captions}
        if self.repeated:
            told = (f"{name} {count_of(count, 'picture')} × {times}" for (name, times), count in self.repeated.items())
            facts["repeats"] = ", ".join(told)
        return facts


def read_folder(
    folder: Path, *, prompt: str | None = None, trigger: str | None = None, skip_bad: bool = False
) -> ImageFolder:
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
    listing = list_folder(folder)
    found = read_captions(listing, prompt=prompt)
    bad: list[str] = []
    problems: list[str] = []
    pictures: list[Picture] = []
    for place in listing.places:
        for picture in place.pictures:
            try:
                open_image(picture.path)
            except UserError as error:
                bad.append(f"{place.prefix}{error}")
                continue
            caption = found.by_name[picture.name]
            text = f"{trigger}, {caption.text}" if trigger else caption.text
            problems += [caption.problem] if caption.problem else []
            pictures.append(Picture(picture.path, text, caption.source, picture.name, place.repeats))
    advice = "\n  ".join(found.notes) if problems else ""  # why captions are missing may stand there
    if bad and not skip_bad:
        problems = bad + problems  # where only some of many are shown, the advice must speak of these
        advice += "\n  " * bool(advice) + "Repair or remove unreadable pictures, or go on without them with --skip-bad."
    raise_problems(f"The pictures in {folder} cannot be trained on:", problems, advice)
    if not pictures:
        raise_problems(f"None of {count_of(len(bad), 'picture')} in {folder} can be read:", bad)
    return ImageFolder(tuple(pictures), tuple(bad), found.notes)


def open_image(path: Path) -> Image.Image:
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


def image_pixels(picture: Image.Image, size_px: int) -> Tensor:
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
