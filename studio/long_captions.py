"""Captions that are longer than a base's text encoder reads."""

from collections.abc import Sequence

from pipelines.families import PictureBase
from trainers.data.pictures import Picture
from trainers.wording import count_of

_SHOWN = 60


def long_caption_notes(base: PictureBase, pictures: Sequence[Picture]) -> list[str]:
    """Return a sentence that counts the captions whose ends the text encoder does not see, and names the worst.

    Args:
        base: with the adapters attached that are trained, since learned tokens take places of their own.
    """
    cut = {caption: base.cut_text(caption) for caption in {picture.caption for picture in pictures}}
    long = [picture for picture in pictures if cut[picture.caption]]
    if not long:
        return []
    worst = max(long, key=lambda picture: len(cut[picture.caption]))
    end = cut[worst.caption]
    shown = end if len(end) <= _SHOWN else f"{end[:_SHOWN]}…"
    are = "caption is" if len(long) == 1 else "captions are"
    return [
        f"{len(long):,} of {count_of(len(pictures), 'caption')} {are} too long for the text encoder, which does not "
        f"see the end. The most is lost of {worst.name}: the last {count_of(len(end), 'letter')}, from {shown!r} on."
    ]
