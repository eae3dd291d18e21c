"""Captions that are longer than a text encoder reads: what a loaded base cuts off, and what every such base would."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trainers.data.listing import composed
from trainers.wording import count_of

if TYPE_CHECKING:  # the page counts words without torch
    from pipelines.families import ImageBase
    from trainers.data.images import Picture

CLIP_TOKENS = 75
"""How many tokens of a prompt the text encoders of Stable Diffusion 1.x and XL read."""
_SHOWN = 60
# CLIP's tokenizer splits a text here at least, before it splits rare words further.
_WORD = re.compile(r"'(?:s|t|re|ve|m|d|ll)|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)


def long_caption_notes(base: "ImageBase", pictures: "Sequence[Picture]") -> list[str]:
    """Return a sentence that counts the captions whose ends a base's text encoder does not see, and names the worst.

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
    return [
        f"{len(long):,} of {count_of(len(pictures), 'caption')} too long for the text encoder, which does not see the "
        f"end. The most is lost of {worst.name}: {count_of(len(end), 'character')}, {shown!r}."
    ]


def surely_long_notes(captions: Mapping[str, str]) -> list[str]:
    """Return a sentence that counts the captions that no base's text encoder sees whole, and names the longest.

    Args:
        captions: by picture name.
    """
    words = {name: len(_WORD.findall(composed(text))) for name, text in captions.items()}
    long = {name: count for name, count in words.items() if count > CLIP_TOKENS}
    if not long:
        return []
    worst = max(long, key=lambda name: long[name])
    return [
        f"{count_of(len(long), 'caption')} of more than {CLIP_TOKENS} words and marks, the longest of {worst} with "
        f"{long[worst]:,}. A text encoder reads {CLIP_TOKENS} tokens, at least one for each, and does not see the rest."
    ]
