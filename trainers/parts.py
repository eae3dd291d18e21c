"""Kinds of parts. What a method recommends, and what a trainer or a blend does with a part, follows its kind.

A part is called as its folder in a base in diffusers' layout, which tells its kind: ``text_encoder`` with or without
a number reads prompts, ``language_model`` is a causal language model, and the part of any other name denoises.
"""

import re
from collections.abc import Mapping
from typing import Literal

PartKind = Literal["denoiser", "text_encoder", "language_model"]

DENOISER: PartKind = "denoiser"
TEXT_ENCODER: PartKind = "text_encoder"
LANGUAGE_MODEL: PartKind = "language_model"

FULL_SIZED_RATE_SHARES: Mapping[PartKind, float] = {DENOISER: 0.1, TEXT_ENCODER: 0.02, LANGUAGE_MODEL: 1.0}
"""Share of a method's recommended learning rate that is taken on a base of usual size.

The rates of the picture parts were measured on the pocket base, which is five times narrower than Stable Diffusion 1.5.
Wider layers want smaller steps; this brings LoRA to the 2e-4 and 1e-4 that trainers of those take.
"""

_TEXT_ENCODER = re.compile(r"text_encoder(_\d+)?")


def kind_of(part: str) -> PartKind:
    """Return the kind of a part, by its name."""
    if _TEXT_ENCODER.fullmatch(part):
        return TEXT_ENCODER
    return LANGUAGE_MODEL if part == LANGUAGE_MODEL else DENOISER
