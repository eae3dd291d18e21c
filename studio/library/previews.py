"""Pictures that stand for an adapter, decoded and encoded anew: nothing but pixels is kept of a foreign file."""

import base64
import io
from pathlib import Path

from PIL import Image

from pipelines.image_file import png_bytes
from trainers.data.images import open_image
from trainers.storage import write_bytes

_THUMBNAIL_PX = 256
_PREVIEW_PX = 1024


def thumbnail(path: Path) -> str:
    """Return a picture as a data URL, as ModelSpec embeds it: JPEG, up to 256 pixels a side."""
    buffer = io.BytesIO()
    _fitted(path, _THUMBNAIL_PX).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def add_preview(folder: Path, path: Path) -> str:
    """Put a picture first among an adapter's previews; return its name."""
    write_bytes(folder / "previews" / "00-cover.png", png_bytes(_fitted(path, _PREVIEW_PX)))
    return "00-cover.png"


def _fitted(path: Path, side_px: int) -> Image.Image:
    picture = open_image(path)
    picture.thumbnail((side_px, side_px))
    return picture
