"""Open every picture of a folder once: thumbnail, size, signature, and the reason where one cannot be read."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.library.image_index import THUMBNAIL_PX, ImageIndex, Known, stamp_of
from trainers.data.images import open_image
from trainers.data.likeness import signature_of
from trainers.data.listing import ImageFile, list_folder
from trainers.errors import UserError
from trainers.storage import write_bytes

_WRITE_EVERY = 100


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: folder. Only what is new or changed is opened. Yields ``{"event": "result", "opened": n}``."""
    index = ImageIndex(workbench.library, Path(arguments["folder"]))
    entries = index.read()
    left = [picture for picture in list_folder(index.folder).pictures if picture.name not in entries]
    for number, file in enumerate(left, start=1):
        entries[file.name] = _opened(index, file)
        if number % _WRITE_EVERY == 0 or number == len(left):
            index.write(entries)
        workbench.progress("pictures", number, len(left))
    yield {"event": "result", "opened": len(left)}


def _opened(index: ImageIndex, file: ImageFile) -> Known:
    stamp = stamp_of(file.path)
    try:
        picture = open_image(file.path)
        known = Known(stamp, picture.width, picture.height, signature_of(picture))
    except UserError as error:
        picture, known = _crossed_box(), Known(stamp, problem=str(error))
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    write_bytes(index.thumbnail(file.name, known), buffer.getvalue())
    return known


def _crossed_box() -> Image.Image:
    picture = Image.new("RGB", (128, 128), (203, 213, 225))
    draw = ImageDraw.Draw(picture)
    for line in ((24, 24, 104, 104), (24, 104, 104, 24)):
        draw.line(line, fill=(51, 65, 85), width=5)
    draw.rectangle((24, 24, 104, 104), outline=(51, 65, 85), width=5)
    return picture


JOB = Job("survey_images", _run)
