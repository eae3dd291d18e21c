"""Kinds of parts. What a method recommends, and what a trainer or a blend does with a part, follows its kind.

A part is called as its folder in a base in diffusers' layout, which tells its kind: ``text_encoder`` with or without
a number reads prompts, ``language_model`` is a causal language model, and the part of any other name denoises.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

from trainers.errors import UserError

PartKind = Literal["denoiser", "text_encoder", "language_model"]

DENOISER: PartKind = "denoiser"
TEXT_ENCODER: PartKind = "text_encoder"
LANGUAGE_MODEL: PartKind = "language_model"

FULL_SIZED_RATE_SHARES: Mapping[PartKind, float] = {DENOISER: 0.1, TEXT_ENCODER: 0.02, LANGUAGE_MODEL: 1.0}
"""Share of a method's recommended learning rate that is taken on a base of usual size.

The rates of the picture parts were measured on the pocket base, which is five times narrower than Stable Diffusion 1.5.
Wider layers want smaller steps; this brings LoRA to the 2e-4 and 1e-4 that trainers of those take.
"""

_Plan = TypeVar("_Plan")
_TEXT_ENCODER = re.compile(r"text_encoder(_\d+)?")


def kind_of(part: str) -> PartKind:
    """Return the kind of a part, by its name."""
    if _TEXT_ENCODER.fullmatch(part):
        return TEXT_ENCODER
    return LANGUAGE_MODEL if part == LANGUAGE_MODEL else DENOISER


def called_in(plans: Mapping[str, _Plan], base_parts: Iterable[str]) -> dict[str, _Plan]:
    """Return plans by part with ``denoiser`` replaced by what a base with these parts calls its denoiser.

    Raises:
        UserError: the base's denoiser is planned under both names.
    """
    own = next((part for part in base_parts if kind_of(part) == DENOISER), DENOISER)
    if DENOISER in plans and own in plans and own != DENOISER:
        raise UserError(f"The parts {DENOISER!r} and {own!r} are the same part of this base. Name it once.")
    return {own if part == DENOISER else part: plan for part, plan in plans.items()}
